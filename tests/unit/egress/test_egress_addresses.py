import pytest

from rco.egress.addresses import METADATA, judge, parse_networks

CLASSES = {
    "this_network": ["0.0.0.0", "0.1.2.3", "0.255.255.255"],
    "private": ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"],
    "carrier_nat": ["100.64.0.1", "100.127.255.255"],
    "loopback": ["127.0.0.1", "127.255.255.255", "::1"],
    "link_local": ["169.254.0.1", "169.254.169.253", "fe80::1", "febf::1"],
    "reserved": [
        "192.0.0.1",
        "240.0.0.1",
        "255.255.255.254",
        "2001:1::1",
        "2001:10::1",
        "2001:20::1",
        "4000::1",
        "1::",
    ],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "3fff:fff::1"],
    "relay_6to4": ["192.88.99.1"],
    "benchmarking": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "broadcast": ["255.255.255.255"],
    "unspecified": ["::"],
    "v4_mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:93.184.216.34"],
    "v4_translated": ["::ffff:0:10.0.0.1"],
    "v4_compatible": ["::127.0.0.1", "::93.184.216.34", "::2"],
    "nat64": ["64:ff9b::10.0.0.1", "64:ff9b::93.184.216.34"],
    "nat64_local": ["64:ff9b:1::1", "64:ff9b:1:ffff::8.8.8.8"],
    "discard": ["100::1"],
    "teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "six_to_four": ["2002:7f00:1::", "2002:5db8:d822::1"],
    "segment_routing": ["5f00::1", "5f00:ffff::1"],
    "unique_local": ["fc00::1", "fd12:3456::1", "fdff::1"],
    "site_local": ["fec0::1", "feff::1"],
    "metadata": [
        *sorted(METADATA),
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "2002:a9fe:a9fe::1",
        "2002:a83f:8110::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:808:808::5601:5601",
    ],
    "scoped": ["fe80::1%eth0", "2606:4700::1%1", "fe80::1%25eth0"],
    "not_an_address": ["", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "localhost"],
}


@pytest.mark.parametrize(("reason", "address"), [(r, a) for r, those in CLASSES.items() for a in those])
def test_every_class_is_refused_by_its_name(reason: str, address: str) -> None:
    assert judge(address) == reason


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1"),
        *("169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.0.3.1", "192.167.1.1"),
        *("198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17", "2606:4700::1111"),
        *("2001:4860:4860::8888", "2003::1", "3ffe::1", "2000::1"),
    ],
)
def test_neighbours_of_the_table_are_reachable(address: str) -> None:
    assert judge(address) is None


def test_a_named_network_opens_its_own_addresses_only() -> None:
    named = parse_networks(["10.1.0.0/16", "127.0.0.1/32", "fd12::/16"])
    assert [judge(a, named) for a in ("10.1.2.3", "127.0.0.1", "fd12::1")] == [None, None, None]
    assert [judge(a, named) for a in ("10.2.0.1", "127.0.0.2", "fd13::1")] == ["private", "loopback", "unique_local"]
    # The IPv4 network does not open the same address in IPv6 clothes.
    assert judge("::ffff:10.1.2.3", named) == "v4_mapped"


@pytest.mark.parametrize(
    ("address", "wide"),
    [
        ("169.254.169.254", "169.254.0.0/16"),
        ("169.254.169.254", "169.254.169.254/31"),
        ("169.254.169.254", "0.0.0.0/0"),
        ("fd00:ec2::254", "fc00::/7"),
        ("100.100.100.200", "100.64.0.0/10"),
        ("168.63.129.16", "168.63.0.0/16"),
    ],
)
def test_metadata_needs_its_exact_name(address: str, wide: str) -> None:
    assert judge(address, parse_networks([wide])) == "metadata"
    assert judge(address, parse_networks([address])) is None


def test_the_address_inside_is_judged_where_its_class_is_allowed() -> None:
    nat64 = parse_networks(["64:ff9b::/96"])
    assert judge("64:ff9b::8.8.8.8", nat64) is None
    assert judge("64:ff9b::10.0.0.1", nat64) == "private"
    assert judge("64:ff9b::a9fe:a9fe", nat64) == "metadata"
    assert judge("64:ff9b::10.0.0.1", parse_networks(["64:ff9b::/96", "10.0.0.0/8"])) is None
    assert judge("2002:7f00:1::", parse_networks(["2002::/16"])) == "loopback"
    teredo = parse_networks(["2001::/32"])
    # The server is 65.54.227.120, the client ~(f5ff:fffe) = 10.0.0.1 and ~(f7f7:f7f7) = 8.8.8.8.
    assert judge("2001:0:4136:e378::f5ff:fffe", teredo) == "private"
    assert judge("2001:0:4136:e378::f7f7:f7f7", teredo) is None
    assert judge("2001:0:7f00:1::f7f7:f7f7", teredo) == "loopback"
    assert judge("64:ff9b:1:a9fe:a9:fe00::", parse_networks(["64:ff9b:1::/48"])) == "metadata"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "ten", "10.0.0.0/33", ""])
def test_a_network_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_networks([text])

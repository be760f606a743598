"""Which addresses a call may reach: our own deny table.

The standard library's ``is_global`` is not enough: Python 3.11 calls ``64:ff9b::/96``, ``2002::/16``, ``::127.0.0.1``,
``fec0::/10``, ``ff02::``, ``3fff::``, ``5f00::`` and ``168.63.129.16`` global. The table follows the IANA registries of
special-purpose addresses (RFC 6890, RFC 8190) and adds what clouds use for metadata.

Three rules:

* an address in a class of the table is refused, unless a network of the target's ``allow_private`` holds it;
* an address that carries an IPv4 address inside (mapped, compatible, translated, NAT64, 6to4, Teredo) is refused as
  that class, and where the class is allowed by name, the address inside is judged as well;
* a metadata address is refused even then, unless it is named exactly (``169.254.169.254/32``, not ``169.254.0.0/16``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["METADATA", "Network", "judge", "parse_networks"]

Network = IPv4Network | IPv6Network

METADATA: frozenset[str] = frozenset(
    {
        "169.254.169.254",  # AWS, Azure, GCP, OpenStack and most others
        "169.254.170.2",  # AWS ECS task credentials
        "169.254.170.23",  # AWS EKS pod identity
        "fd00:ec2::254",  # AWS over IPv6
        "fd00:ec2::23",  # AWS EKS pod identity over IPv6
        "fd20:ce::254",  # GCP over IPv6
        "168.63.129.16",  # Azure's wire server, a public address by its looks
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud
    }
)
"""Where clouds hand out credentials to whoever asks."""

_METADATA = frozenset(ip_address(text) for text in METADATA)

_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this_network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier_nat"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link_local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "relay_6to4"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "v4_mapped"),
        ("::ffff:0:0:0/96", "v4_translated"),
        ("::/96", "v4_compatible"),
        ("64:ff9b::/96", "nat64"),
        ("64:ff9b:1::/48", "nat64_local"),
        ("100::/64", "discard"),
        ("2001::/32", "teredo"),
        ("2001:2::/48", "benchmarking"),
        ("2001:db8::/32", "documentation"),
        ("2001::/23", "reserved"),
        ("2002::/16", "six_to_four"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment_routing"),
        ("fc00::/7", "unique_local"),
        ("fe80::/10", "link_local"),
        ("fec0::/10", "site_local"),
        ("ff00::/8", "multicast"),
    )
)

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA has handed out as global unicast; what lies outside is refused as ``reserved``."""


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of an ``allow_private`` list. Raises ``ValueError`` for one that is not CIDR or has host bits."""
    return tuple(ip_network(text) for text in texts)


def judge(address: str, allow_private_networks: Sequence[Network] = ()) -> str | None:
    """Why ``address`` may not be reached (a class of the table), or ``None`` when it may.

    ``address`` is the final numeric text of a socket address. What is no plain address (a name, a short form such as
    ``127.1``, digits of another script) is ``not_an_address``; an IPv6 address with a zone is ``scoped``, as it means
    something on this machine only.
    """
    if "%" in address:
        return "scoped"
    try:
        parsed = ip_address(address)
    except ValueError:
        return "not_an_address"
    return _judge(parsed, allow_private_networks)


def _judge(address: IPv4Address | IPv6Address, allowed: Sequence[Network]) -> str | None:
    if address in _METADATA:
        exactly = any(network.num_addresses == 1 and network.network_address == address for network in allowed)
        return None if exactly else "metadata"
    reason = _reason_v4(address) if isinstance(address, IPv4Address) else _reason_v6(address)
    inside: tuple[IPv4Address, ...] = _carried(address, reason) if isinstance(address, IPv6Address) else ()
    # A metadata address inside another is told apart, so that nobody reads the wrapping as the whole story.
    hidden = inside + (_other_layouts(address) if isinstance(address, IPv6Address) and reason == "nat64_local" else ())
    if any(carried in _METADATA and _judge(carried, allowed) for carried in hidden):
        return "metadata"
    if reason and not any(address.version == network.version and address in network for network in allowed):
        return reason
    return next((found for carried in inside if (found := _judge(carried, allowed))), None)


def _reason_v4(address: IPv4Address) -> str | None:
    return next((reason for network, reason in _V4 if address in network), None)


def _reason_v6(address: IPv6Address) -> str | None:
    found = next((reason for network, reason in _V6 if address in network), None)
    return found or (None if address in _GLOBAL_UNICAST else "reserved")


def _carried(address: IPv6Address, reason: str | None) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses inside an address of a class that carries some."""
    number = int(address)
    match reason:
        case "v4_mapped" | "v4_translated" | "v4_compatible" | "nat64" | "nat64_local":
            return (IPv4Address(number & 0xFFFFFFFF),)
        case "six_to_four":
            return (IPv4Address(number >> 80 & 0xFFFFFFFF),)
        case "teredo":
            # RFC 4380 section 4: the server in bits 32 to 63, the client's address inverted in the last 32.
            return (IPv4Address(number >> 64 & 0xFFFFFFFF), IPv4Address(~number & 0xFFFFFFFF))
        case _:
            return ()


def _other_layouts(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """Where else an IPv4 address may lie under ``64:ff9b:1::/48``.

    RFC 8215 leaves the length of the prefix to the operator and RFC 6052 section 2.2 puts the address accordingly.
    Which layout holds is unknown here, so these are searched for metadata addresses only.
    """
    number = int(address)
    return (
        IPv4Address((number >> 64 & 0xFFFF) << 16 | (number >> 40 & 0xFFFF)),
        IPv4Address((number >> 64 & 0xFF) << 24 | (number >> 32 & 0xFFFFFF)),
        IPv4Address(number >> 24 & 0xFFFFFFFF),
    )

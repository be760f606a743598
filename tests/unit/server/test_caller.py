"""Whose request it is: what a stranger writes counts for nothing."""

from __future__ import annotations

import pytest

from rco.server.caller import CallerOf


def told(peer: str, *forwarded: str, proxies: tuple[str, ...] = ("10.0.0.0/8", "fd00::/8")) -> str:
    headers = [(b"x-forwarded-for", text.encode()) for text in forwarded]
    return CallerOf(proxies)({"client": (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("192.0.2.9", ["198.51.100.1"], "192.0.2.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.5, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.5", "198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["evil, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", ["198.51.100.1, junk"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::/64"),
    ],
)
def test_the_last_hop_that_is_not_ours(peer: str, forwarded: list[str], caller: str) -> None:
    assert told(peer, *forwarded) == caller


def test_without_proxies_nobody_s_word_counts() -> None:
    assert told("10.0.0.1", "198.51.100.1", proxies=()) == "10.0.0.1"


def test_a_long_list_is_not_walked_to_its_end() -> None:
    assert told("10.0.0.1", ",".join(["10.1.1.1"] * 100_000)) == "10.1.1.1"


def test_a_server_that_does_not_know() -> None:
    assert CallerOf()({"client": None, "headers": []}) == ""


def test_what_is_no_network() -> None:
    with pytest.raises(ValueError, match="host bits"):
        CallerOf(["10.0.0.1/8"])

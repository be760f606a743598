"""Root keys out of a transit engine, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers.vault import VaultServer
from tests.unit.capability.keys import NOW_S, Office

from rco.capability.options import CapabilityOptions, VaultOptions, faults
from rco.capability.scope import Ask
from rco.capability.source import KeptRing, source_of
from rco.capability.vault import Transit
from rco.errors import ConfigInvalid, RcoError, StoreError

START = Ask(kind="run:start", name="fulfil")


@pytest.fixture
def vault() -> Iterator[VaultServer]:
    with VaultServer() as server:
        server.now_s = lambda: NOW_S
        yield server


def transit(vault: VaultServer, token: str = "root-token") -> Transit:
    return Transit(vault.address, "transit", "rco", lambda: token, lead_s=10, overlap_s=120)


def states(transit: Transit, at_s: int) -> dict[str, str]:
    return {one.kid: one.state for one in transit.ring().states(at_s * 1_000_000)}


def test_the_first_rotation_makes_the_key_and_every_node_has_the_same_ring(vault) -> None:
    with pytest.raises(StoreError, match="rco keys rotate"):
        transit(vault).ring()
    transit(vault).rotate()
    one, other = Office(), Office()
    one.ring, other.ring = transit(vault).ring(), transit(vault).ring()
    token = one.authority.mint(("run:start:fulfil",), namespace="default", ttl_s=60).token
    assert token.kid == "v1"
    other.authority.check(token, START)


def test_rotation_is_transits_and_overlaps(vault) -> None:
    transit(vault).rotate()
    vault.now_s = lambda: NOW_S + 100
    transit(vault).rotate()
    assert states(transit(vault), NOW_S + 105) == {"v1": "minting", "v2": "waiting"}
    assert states(transit(vault), NOW_S + 110) == {"v1": "accepting", "v2": "minting"}
    assert states(transit(vault), NOW_S + 230) == {"v1": "retired", "v2": "minting"}


def test_versions_below_what_transit_still_decrypts_are_gone(vault) -> None:
    transit(vault).rotate()
    transit(vault).rotate()
    vault.keys["rco"]["min_decryption"] = 2
    assert transit(vault).ring().kids() == {"v2"}


def test_the_keys_depend_on_what_transit_keeps_secret(vault) -> None:
    transit(vault).rotate()
    first = transit(vault).ring().find("v1")
    with VaultServer() as another:
        transit(another).rotate()
        second = transit(another).ring().find("v1")
    assert first is not None
    assert second is not None
    assert first.rk != second.rk


def test_a_token_that_may_only_read_and_compute_is_enough_to_run(vault) -> None:
    transit(vault).rotate()
    vault.tokens["reader"] = ("keys/rco", "hmac/rco/")
    assert transit(vault, "reader").ring().kids() == {"v1"}
    vault.tokens["reader"] = ("keys/rco",)
    with pytest.raises(StoreError, match="403"):
        transit(vault, "reader").ring()


def test_the_token_is_asked_for_each_time_and_never_shown(vault) -> None:
    transit(vault).rotate()
    held = ["root-token"]
    turning = Transit(vault.address, "transit", "rco", lambda: held[0], lead_s=10, overlap_s=120)
    turning.ring()
    held[0] = "wrong-token"
    with pytest.raises(StoreError) as problem:
        turning.ring()
    assert "wrong-token" not in str(problem.value)
    assert vault.asked[-1][2]["X-Vault-Token"] == "wrong-token"


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b""),
        (200, {}, b"not json"),
        (200, {}, b'{"data":null}'),
        (200, {}, b'{"data":{"keys":{"one":1}}}'),
        (200, {}, b'{"data":{"keys":[]}}'),
        (200, {}, b'{"data":{"keys":{"1":"soon"}}}'),
        (200, {}, b'{"data":{"keys":{"1":{"creation_time":"soon"}}}}'),
        (200, {}, b'{"data":{"keys":{"1":1},"hmac":"vault:v1:AAAA"}}'),
        (200, {}, b'{"data":{"keys":{"1":1},"hmac":"vault:v2:AAAA"}}'),
        (200, {}, b'{"data":{"keys":{"1":1},"hmac":7}}'),
        (200, {}, b"[" * 100_000),
        (200, {}, b"x" * (1 << 20 | 1)),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
        (503, {}, b'{"errors":["sealed"]}'),
        (429, {}, b""),
    ],
)
def test_an_answer_that_cannot_be_used_is_a_clear_error(vault, answer) -> None:
    vault.answer_with = answer
    with pytest.raises(RcoError):
        transit(vault).ring()


def test_nobody_there_is_a_clear_error(vault) -> None:
    gone = transit(vault)
    vault.__exit__()
    with pytest.raises(StoreError, match="no answer"):
        gone.ring()


@pytest.mark.parametrize("address", ["", "vault", "ftp://vault", "http://", "https://vault/path"])
def test_an_address_that_is_none_is_refused(address) -> None:
    with pytest.raises(ConfigInvalid):
        Transit(address, "transit", "rco", lambda: "", lead_s=1, overlap_s=1)


async def test_a_node_keeps_its_ring_while_vault_is_away_and_takes_up_a_rotation(vault, tmp_path) -> None:
    transit(vault).rotate()
    options, place = CapabilityOptions(keys="vault"), VaultOptions(address=vault.address, token="env:T")
    changes: list[tuple[set[str], set[str]]] = []
    kept = KeptRing(
        source_of(options, place, tmp_path / "none", lambda _: "root-token"),
        changed=lambda came, went: changes.append((came, went)),
        refresh_s=3600,
    )
    await kept.start()
    try:
        vault.answer_with = (503, {}, b"")
        with pytest.raises(StoreError):
            await kept.read()
        assert kept().kids() == {"v1"}
        vault.answer_with = None
        transit(vault).rotate()
        await kept.read()
        assert kept().kids() == {"v1", "v2"}
        assert changes == [({"v2"}, set())]
    finally:
        await kept.stop()


def test_options_that_do_not_fit_are_told() -> None:
    def keys(options: CapabilityOptions, vault: VaultOptions | None = None) -> list[str]:
        return [key for key, _, _ in faults(options, vault or VaultOptions())]

    assert keys(CapabilityOptions()) == []
    assert keys(CapabilityOptions(keys="vault")) == ["vault"]
    assert keys(CapabilityOptions(keys="/etc/ring")) == ["capability.keys"]
    assert keys(CapabilityOptions(overlap_s=60)) == ["capability.overlap"]
    assert keys(CapabilityOptions(keys="vault"), VaultOptions(address="https://v", token="env:T")) == []

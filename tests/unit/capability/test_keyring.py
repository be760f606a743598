"""Keys: the file's mode, rotation with overlap, and what each state still does."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat

import pytest
from tests.unit.capability.keys import NOW_S, OTHER, Office, key

from rco.capability.keyfile import read_ring, rotate
from rco.capability.keyring import Keyring, ring_of
from rco.capability.scope import Ask
from rco.errors import ConfigInvalid, Misuse, Refused
from rco.kit.ids import Ids

NOW_US = NOW_S * 1_000_000
START = Ask(kind="run:start", name="fulfil")


def turn(path, at_s=NOW_S, lead_s=10.0, overlap_s=120.0) -> Keyring:
    return rotate(path, ids=Ids(), now_us=at_s * 1_000_000, lead_s=lead_s, overlap_s=overlap_s)


def test_the_first_key_mints_at_once_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "deep" / "keyring.json"
    turn(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [(one.kid, one.state) for one in read_ring(path).states(NOW_US)] == [("k1", "minting")]
    assert sorted(one.name for one in path.parent.iterdir()) == ["keyring.json", "keyring.json.lock"]


def test_a_mask_that_takes_nothing_away_changes_nothing(tmp_path):
    before = os.umask(0)
    try:
        turn(tmp_path / "keyring.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keyring.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777, 0o601, 0o620])
def test_a_looser_mode_is_refused_and_the_key_not_read(tmp_path, mode):
    path = tmp_path / "keyring.json"
    turn(path)
    path.chmod(mode)
    with pytest.raises(ConfigInvalid, match=f"{mode:04o}"):
        read_ring(path)
    with pytest.raises(ConfigInvalid, match=f"{mode:04o}"):
        turn(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_mode_that_shuts_others_out_is_fine(tmp_path, mode):
    path = tmp_path / "keyring.json"
    turn(path)
    path.chmod(mode)
    assert read_ring(path).kids() == {"k1"}


def test_rotation_goes_from_waiting_to_retired(tmp_path):
    path = tmp_path / "keyring.json"
    turn(path)
    ring = turn(path, at_s=NOW_S + 100)

    def states(after_s: int) -> dict[str, str]:
        return {one.kid: one.state for one in ring.states((NOW_S + after_s) * 1_000_000)}

    assert states(109) == {"k1": "minting", "k2": "waiting"}
    assert states(110) == {"k1": "accepting", "k2": "minting"}
    assert states(229) == {"k1": "accepting", "k2": "minting"}
    assert states(230) == {"k1": "retired", "k2": "minting"}


def test_a_third_key_gives_the_first_no_longer_life(tmp_path):
    path = tmp_path / "keyring.json"
    turn(path)
    turn(path, at_s=NOW_S + 100)
    first_end = {one.kid: one.accept_until for one in read_ring(path).states(NOW_US)}["k1"]
    turn(path, at_s=NOW_S + 200)
    ends = {one.kid: one.accept_until for one in read_ring(path).states(NOW_US)}
    assert ends["k1"] == first_end
    assert ends["k2"] is not None
    assert ends["k3"] is None


def _turn_some(path: str) -> None:
    from pathlib import Path

    for _ in range(5):
        turn(Path(path))


def test_two_who_rotate_at_a_time_both_add_their_keys(tmp_path):
    path = tmp_path / "keyring.json"
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=_turn_some, args=(str(path),)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
        assert one.exitcode == 0
    assert read_ring(path).kids() == {f"k{n}" for n in range(1, 11)}


def test_tokens_live_through_a_rotation_and_end_with_their_keys(tmp_path):
    office = Office(key("k1", accept_until_s=NOW_S + 120), key("k2", OTHER, mint_from_s=NOW_S + 10), life_max_s=3600)
    old = office.authority.mint(("run:start:fulfil", "call:stock"), namespace="default", ttl_s=3600).token
    grant = office.authority.proved(old).grant(START, b"r" * 16)
    assert old.kid == "k1"
    office.after(10)
    new = office.authority.mint(("run:start:fulfil",), namespace="default", ttl_s=60).token
    assert new.kid == "k2"
    office.authority.check(old, START)
    office.after(110)
    with pytest.raises(Refused) as refused:
        office.authority.check(old, START)
    assert refused.value.detail == "cap_key"
    # A run goes on: its rights do not end because a key was rotated.
    rights = office.authority.rights(grant, b"r" * 16)
    assert rights.refusal(Ask(kind="call", name="stock", method="GET")) is None
    office.ring = Keyring([key("k2", OTHER)])
    refusal = office.authority.rights(grant, b"r" * 16).refusal(Ask(kind="call", name="stock", method="GET"))
    assert refusal is not None
    assert refusal.reason == "cap_key"
    assert refusal.passing


def test_one_run_cannot_have_another_ones_rights():
    office = Office()
    token = office.authority.mint(("run:start:fulfil", "call:stock"), namespace="default", ttl_s=60).token
    grant = office.authority.proved(token).grant(START, b"r" * 16)
    call = Ask(kind="call", name="stock", method="GET")
    assert office.authority.rights(grant, b"r" * 16).refusal(call) is None
    for changed, run in (
        (grant, b"s" * 16),
        (grant | {"id": "cap_x"}, b"r" * 16),
        (grant | {"caveats": ["ns=default", "act=call:*"]}, b"r" * 16),
        (grant | {"caveats": grant["caveats"][:-1]}, b"r" * 16),
        (grant | {"caveats": []}, b"r" * 16),
        (grant | {"more": 1}, b"r" * 16),
        (None, b"r" * 16),
    ):
        refusal = office.authority.rights(changed, run).refusal(call)
        assert refusal is not None
        assert not refusal.passing


def test_a_grant_and_its_key_show_no_secret():
    office = Office()
    token = office.authority.mint(("run:start:fulfil",), namespace="default", ttl_s=60).token
    grant = office.authority.proved(token).grant(START, b"r" * 16)
    said = repr(token) + repr(grant) + repr(office.ring.find("k1")) + str(office.ring.states(NOW_US))
    held = office.ring.find("k1")
    for secret in (token.tag, held.rk, held.seal_key, bytes(range(32))):
        assert secret.hex() not in said
        assert repr(secret)[2:-1] not in said


@pytest.mark.parametrize("ttl_s", [0, -1, 3601, float("inf"), float("nan")])
def test_no_life_beyond_what_is_allowed(ttl_s):
    with pytest.raises(Misuse):
        Office().authority.mint(("write:put",), namespace="default", ttl_s=ttl_s)


GOOD = {
    "format": "rco-keyring/1",
    "keys": [
        {
            "kid": "k1",
            "version": 1,
            "secret": "00" * 32,
            "created_at": "2026-11-21T10:00:00Z",
            "mint_from": "2026-11-21T10:00:00Z",
        }
    ],
}


@pytest.mark.parametrize(
    "change",
    [
        {"format": "rco-keyring/2"},
        {"keys": []},
        {"more": 1},
        {"keys": GOOD["keys"] * 2},
        *(
            {"keys": [GOOD["keys"][0] | one]}
            for one in (
                {"secret": "5ec2e7" * 10},
                {"secret": "zz" * 32},
                {"secret": "AB" * 32},
                {"created_at": "today"},
                {"mint_from": "2026-11-21T10:00:00"},
                {"version": "1"},
                {"other": 1},
            )
        ),
    ],
)
def test_a_ring_that_is_none_is_refused_without_showing_it(change):
    assert ring_of(json.dumps(GOOD), "here").kids() == {"k1"}
    with pytest.raises(ConfigInvalid) as problem:
        ring_of(json.dumps(GOOD | change), "here")
    assert "5ec2e7" not in str(problem.value)
    assert "0000" not in str(problem.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, "\ud800"])
def test_no_text_breaks_the_reading(text):
    with pytest.raises(ConfigInvalid):
        ring_of(text, "here")


def test_what_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigInvalid):
            read_ring(path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "bytes").chmod(0o600)
    with pytest.raises(ConfigInvalid):
        read_ring(tmp_path / "bytes")

"""A capability that is shown again is not computed again, and is asked everything again that may have changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.capability.keys import NOW_S, OTHER, Office, key

from rco.capability import authority as module
from rco.capability.caveat import caveat
from rco.capability.keyring import Keyring
from rco.capability.scope import Ask
from rco.capability.token import attenuated, parse
from rco.errors import Refused, StoreError
from rco.store.contract.revocations import Revocation, RevokedKind


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the capabilities whose tag was computed."""
    found: list[str] = []
    real = module.proves

    def proves(rk: bytes, token: module.Token) -> bool:
        found.append(token.id)
        return real(rk, token)

    monkeypatch.setattr(module, "proves", proves)
    return found


def text_of(office: Office) -> str:
    return str(office.authority.mint(("write:put",), namespace="default", ttl_s=60.0).token)


def refused(ask: Callable[[], object]) -> str:
    with pytest.raises(Refused) as raised:
        ask()
    return raised.value.detail


def test_it_is_proved_once_and_is_the_same_as_before(office: Office, proofs: list[str]) -> None:
    text = text_of(office)
    ask = Ask(kind="write:put", namespace="default")
    for _ in range(3):
        proved = office.authority.read(text)
        assert proved.token == parse(text)
        proved.check(ask)
    assert len(proofs) == 1


def test_what_was_refused_is_not_remembered(office: Office, proofs: list[str]) -> None:
    bad = text_of(office)
    bad = bad[:-3] + ("AAA" if not bad.endswith("AAA") else "BBB")
    for _ in range(3):
        with pytest.raises(Refused):
            office.authority.read(bad)
    assert not office.authority._read
    # One that is narrowed is another one.
    text = text_of(office)
    office.authority.read(text)
    assert refused(lambda: office.authority.read(text + "A")) == "cap_malformed"
    proofs.clear()
    office.authority.read(str(attenuated(parse(text), caveat("exp", NOW_S + 1))))
    assert len(proofs) == 1


def test_time_and_revocations_count_at_once(office: Office) -> None:
    text, other = text_of(office), text_of(office)
    for one in (text, other):
        office.authority.read(one)
    office.revoked.add([Revocation(seq=1, kind=RevokedKind.ID, name=parse(text).id, at_us=0, actor="test")])
    assert refused(lambda: office.authority.read(text)) == "cap_revoked"
    office.authority.read(other)
    office.after(61)
    late = office.authority.read(other)
    assert refused(lambda: late.check(Ask(kind="write:put", namespace="default"))) == "cap_exp"
    office.clock.at_s += 3600
    with pytest.raises(StoreError):
        office.authority.read(other)


def test_a_key_that_is_taken_out_or_exchanged_counts_at_once(office: Office) -> None:
    text = text_of(office)
    office.authority.read(text)
    office.ring = Keyring([key(secret=OTHER)])
    assert refused(lambda: office.authority.read(text)) == "cap_tag"
    office.ring = Keyring([key("k2")])
    assert refused(lambda: office.authority.read(text)) == "cap_key"
    office.ring = Keyring([key(accept_until_s=NOW_S - 1), key("k2")])
    assert refused(lambda: office.authority.read(text)) == "cap_key"


def test_there_is_a_bound(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_MAX", 3)
    texts = [text_of(office) for _ in range(10)]
    for text in texts:
        office.authority.read(text)
    assert len(office.authority._read) == 3
    assert [office.authority.read(text).id for text in texts] == [parse(text).id for text in texts]

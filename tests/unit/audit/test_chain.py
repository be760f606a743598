"""What a link is made of."""

import msgspec
import pytest
from blake3 import blake3

from rco.audit.chain import ChainSealer, decisions_json
from rco.audit.link import GENESIS, leaf_digest, link_hash
from rco.kit.canonical import canonical_json
from rco.model.decision import Decision, Verb


def parts(*values: bytes) -> bytes:
    """Written from the description, not from the code."""
    return b"".join(len(value).to_bytes(4, "big") + value for value in values)


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def test_blake3_is_blake3() -> None:
    # test_vectors.json of the BLAKE3 team: the empty input, and one byte.
    assert blake3(b"").hexdigest() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert blake3(b"\x00").hexdigest() == "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"


@pytest.mark.parametrize("data", [b"", b"x", b"y" * 5000])
def test_a_leaf_is_what_is_described(data: bytes) -> None:
    run_id = bytes(range(16))
    expected = blake3(parts(b"rco journal segment v1", run_id, u64(7), data)).digest()
    assert ChainSealer().leaf(run_id, 7, data) == expected


def test_a_link_is_what_is_described() -> None:
    decision = Decision(verb=Verb.CALL, at_us=5, subject="payments", facts={"status": 200, "method": "POST"})
    seal = ChainSealer().seal(
        writer="node-\u00e9", n=3, epoch=2, at_us=9, prev=b"p" * 32, leaves=b"l" * 64, decisions=[decision]
    )
    assert seal.decisions == b'[{"at_us":5,"facts":{"method":"POST","status":200},"subject":"payments","verb":"call"}]'
    name = "node-\u00e9".encode()
    body = parts(b"rco seal v1", b"p" * 32, name, u64(3), u64(2), u64(9), b"l" * 64, seal.decisions)
    assert seal.hash == blake3(body).digest()
    assert (seal.writer, seal.n, seal.epoch, seal.at_us, seal.prev) == ("node-\u00e9", 3, 2, 9, b"p" * 32)


def test_a_published_link_never_changes() -> None:
    """A vector for other implementations, which is also in the decision record."""
    seal = ChainSealer().seal(
        writer="node-1",
        n=1,
        epoch=1,
        at_us=1_795_257_415_000_000,
        prev=GENESIS,
        leaves=leaf_digest(bytes(range(16)), 0, b"segment"),
        decisions=[Decision(verb=Verb.ACCEPT, at_us=1_795_257_415_000_000, subject="github")],
    )
    assert seal.leaves.hex() == "5c7bffcbdc8daa9a54c1dd09e623f4ecbf1d508a68ffd24e765d17a96d81d7c7"
    assert seal.hash.hex() == "f7ac10b5575f3f5c848181d488331121b8eb0c7958d32e645ad461ac48a87213"


@pytest.mark.parametrize("run_id", [b"", b"a" * 15, b"a" * 17, b"0" * 36])
def test_a_run_id_of_another_length_is_refused(run_id: bytes) -> None:
    # A fixed-width field would pad or cut it, and two runs would share a leaf.
    with pytest.raises(ValueError, match="16 bytes"):
        leaf_digest(run_id, 0, b"")


@pytest.mark.parametrize(("prev", "leaves"), [(b"", b""), (b"p" * 31, b""), (b"p" * 32, b"l" * 33)])
def test_cut_digests_are_refused(prev: bytes, leaves: bytes) -> None:
    with pytest.raises(ValueError, match="whole digests"):
        link_hash(prev=prev, writer="w", n=1, epoch=1, at_us=1, leaves=leaves, decisions=b"[]")


def test_decisions_are_canonical_json() -> None:
    decisions = [
        Decision(
            verb=Verb.REFUSE, at_us=1, allow=False, reason="ts_stale", facts={"z": True, "a": '\u20ac "\n\x1f', "m": -5}
        ),
        Decision(verb=Verb.ACCEPT, at_us=2, actor="\U0001f600", b3="b3:" + "0" * 64),
    ]
    assert decisions_json(decisions) == canonical_json(msgspec.to_builtins(decisions))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1.5, "<float>"),
        (float("nan"), "<float>"),
        ({"card": "4111"}, "<dict>"),
        (1 << 60, "<int>"),
        (None, "<NoneType>"),
    ],
)
def test_what_may_not_be_a_fact_is_named_by_its_type_and_fails_no_commit(value: object, kept: str) -> None:
    bad = Decision(verb=Verb.CALL, at_us=1, facts={"odd": value, "status": 200})  # type: ignore[dict-item]
    assert msgspec.json.decode(decisions_json([bad]))[0]["facts"] == {"odd": kept, "status": 200}


def test_text_without_a_utf8_form_fails_no_commit() -> None:
    bad = Decision(verb=Verb.REFUSE, at_us=1, reason="bad \ud800", facts={"na\u00efve": "x\udfff"})
    got = msgspec.json.decode(decisions_json([bad]))[0]
    assert got["reason"] == "bad \\ud800"
    assert got["facts"] == {"na\\xefve": "x\\udfff"}


def test_a_reason_without_a_utf8_form_fails_no_commit() -> None:
    bad = Decision(verb=Verb.REFUSE, at_us=1, reason="bad \ud800", facts={"status": 401})
    assert msgspec.json.decode(decisions_json([bad]))[0]["reason"] == "bad \\ud800"

"""Nobody widens a capability: not by flipping, cutting, adding or reordering, and not with caveats of any kind."""

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.unit.capability.keys import NOW_S, OTHER, SECRET, Office, key

from rco.capability.caveat import Moment, caveat, check, fresh, read
from rco.capability.scope import Ask, parse_scope
from rco.capability.token import Token, attenuated, decode, encode, minted, parse, proves, root_key
from rco.errors import Misuse, Refused
from rco.store.contract.revocations import Revocation, RevokedKind

RULES = settings(derandomize=True, max_examples=300, deadline=None, database=None)
RK = root_key(SECRET)

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)
kids = st.from_regex(r"k[0-9]{1,3}", fullmatch=True)
raw_caveats = st.lists(st.binary(min_size=1, max_size=60), max_size=8).map(tuple)
tokens = st.builds(minted, st.just(RK), kids, ids, raw_caveats)

names = st.sampled_from(["fulfil", "refund", "payments", "stock", "pay*", "*", "f*"])
segments = st.lists(st.sampled_from(["v1", "charges", "7", ""]), min_size=1, max_size=3)
paths = st.lists(st.sampled_from(["v1", "charges", "7", "*"]), min_size=1, max_size=3).map(
    lambda it: "/" + "/".join(it)
)
scopes = st.one_of(
    names.map("run:start:{}".format),
    names.map("run:signal:{}".format),
    names.map("run:cancel:{}".format),
    names.map("webhook:accept:{}".format),
    names.map("call:{}".format),
    names.map("publish:{}".format),
    st.tuples(names, names).map(lambda it: f"publish:{it[0]}:{it[1]}"),
    st.tuples(names, st.sampled_from(["*", "GET", "GET,POST"])).map(lambda it: f"call:{it[0]}:{it[1]}"),
    st.tuples(names, st.sampled_from(["*", "POST"]), paths, st.sampled_from(["", "/**"])).map(
        lambda it: f"call:{it[0]}:{it[1]}:{it[2]}{it[3]}"
    ),
    st.just("write:put"),
)
asks = st.one_of(
    st.builds(
        Ask,
        kind=st.sampled_from(["run:start", "run:signal", "run:cancel", "webhook:accept"]),
        name=st.sampled_from(["fulfil", "refund", "payments"]),
        namespace=st.sampled_from(["default", "other"]),
        corr_id=st.sampled_from(["", "c-1"]),
    ),
    st.builds(
        Ask,
        kind=st.just("call"),
        name=st.sampled_from(["payments", "stock"]),
        method=st.sampled_from(["GET", "POST"]),
        segments=segments.map(tuple),
    ),
    st.builds(
        Ask,
        kind=st.just("publish"),
        name=st.sampled_from(["payments", "stock"]),
        topic=st.sampled_from(["fulfil", "pay"]),
    ),
    st.just(Ask(kind="write:put")),
)
numbers = st.sampled_from([NOW_S - 1, NOW_S, NOW_S + 1, NOW_S + 60, NOW_S + 9_000])
caveats = st.one_of(
    st.lists(scopes, max_size=3).map(lambda it: "act=" + " ".join(it)),
    numbers.map("exp={}".format),
    numbers.map("nbf={}".format),
    st.sampled_from(["ns=default", "ns=other", "aud=rco", "aud=them", "epoch=0", "epoch=1", "epoch=9", "corr=c-1"]),
    st.sampled_from(["tenant=t1", "exp", "exp=", "exp=-1", "act", "ns=", "body=b3:" + "0" * 64]),
    st.text(max_size=12),
).map(lambda text: text.encode())
bound = st.one_of(
    st.tuples(st.sampled_from(["exp", "nbf"]), st.one_of(st.integers(-9, 10**16), st.text(max_size=6))),
    st.tuples(
        st.sampled_from(["corr", "body"]), st.one_of(st.text(max_size=140), st.from_regex(r"b3:[0-9a-f]{63,65}"))
    ),
)
moments = st.builds(Moment, st.just(float(NOW_S)), st.just("rco"), st.sampled_from([0, 1]), st.just(3600.0))


def allowed(held: tuple[bytes, ...], ask: Ask, moment: Moment) -> bool:
    try:
        check(held, ask, moment)
    except Refused:
        return False
    return True


def read_as(reader: Callable[[Any], Token], given: Any) -> Any:
    """What was read, written again; ``None`` when it was refused in the one way there is."""
    try:
        token = reader(given)
    except Refused as refused:
        return None if refused.detail == "cap_malformed" else refused
    return str(token) if reader is parse else encode(token)


@RULES
@given(st.lists(caveats, max_size=6), caveats, asks, moments)
def test_another_caveat_never_widens(held, more, ask, moment):
    if allowed((*held, more), ask, moment):
        assert allowed(tuple(held), ask, moment) or not any(one.startswith(b"exp=") for one in held)


@RULES
@given(st.lists(caveats, min_size=1, max_size=6), st.randoms(use_true_random=False), asks, moments)
def test_the_order_of_caveats_means_nothing(held, random, ask, moment):
    other = list(held)
    random.shuffle(other)
    assert allowed(tuple(held), ask, moment) == allowed(tuple(other), ask, moment)


@RULES
@given(tokens, raw_caveats)
def test_narrowing_needs_no_key_and_proves(token, more):
    assert proves(RK, attenuated(token, *more))
    assert attenuated(token, *more) == minted(RK, token.kid, token.id, (*token.caveats, *more))


@RULES
@given(tokens)
def test_forms_are_the_way_back(token):
    assert decode(encode(token)) == token
    assert parse(str(token)) == token


@RULES
@given(tokens, st.data())
def test_any_flipped_bit_is_found(token, data):
    raw = bytearray(encode(token))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    try:
        other = decode(bytes(raw))
    except Refused:
        return
    assert not proves(RK, other)


@RULES
@given(tokens, st.data())
def test_any_cut_is_found(token, data):
    raw = encode(token)
    start = data.draw(st.integers(0, len(raw) - 1))
    stop = data.draw(st.integers(start + 1, len(raw)))
    try:
        other = decode(raw[:start] + raw[stop:])
    except Refused:
        return
    assert not proves(RK, other)


@RULES
@given(tokens, st.data())
def test_nothing_is_taken_away_and_nothing_reordered(token, data):
    """Also with the tag of any shorter list: a tag is of one list only."""
    assume(token.caveats)
    kept = data.draw(st.lists(st.sampled_from(token.caveats), max_size=len(token.caveats)))
    assume(tuple(kept) != token.caveats)
    assert not proves(RK, Token(token.kid, token.id, tuple(kept), token.tag))


@RULES
@given(tokens, raw_caveats, st.binary(min_size=32, max_size=32))
def test_no_tag_is_guessed_and_none_added_past_the_chain(token, more, tag):
    assume(tag != token.tag)
    assert not proves(RK, Token(token.kid, token.id, token.caveats, tag))
    if more:
        assert not proves(RK, Token(token.kid, token.id, (*token.caveats, *more), token.tag))


@RULES
@given(tokens)
def test_another_root_key_proves_nothing(token):
    assert not proves(root_key(OTHER), token)


@RULES
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda tail: b"RCM\x01" + tail)))
def test_decoding_anything_raises_the_one_refusal(raw):
    assert read_as(decode, raw) in (None, raw)


@RULES
@given(st.one_of(st.text(max_size=300), st.text(max_size=300).map(lambda tail: "rcap1_" + tail)))
def test_parsing_any_text_raises_the_one_refusal(text):
    assert read_as(parse, text) in (None, text)


@RULES
@given(st.lists(st.binary(max_size=40), max_size=6).map(tuple), asks, moments)
def test_caveats_of_any_bytes_are_judged_or_refused(held, ask, moment):
    assert not allowed(held, ask, moment)


@RULES
@given(st.text(max_size=60))
def test_any_text_is_a_scope_or_a_clear_no(text):
    with contextlib.suppress(ValueError):
        assert parse_scope(text).kind in (
            "write:put",
            "webhook:accept",
            "run:start",
            "run:signal",
            "run:cancel",
            "call",
        )


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.binary(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


@RULES
@given(
    st.one_of(
        plain,
        st.fixed_dictionaries({"id": plain, "kid": st.one_of(st.just("k1"), plain), "caveats": plain, "seal": plain}),
    ),
    asks,
)
def test_no_made_up_grant_gives_a_right(grant, ask):
    assert Office().authority.rights(grant, b"r" * 16).refusal(ask) is not None


@RULES
@given(st.lists(scopes, min_size=1, max_size=4), st.lists(scopes, max_size=3), asks)
def test_a_run_holds_no_more_than_the_token_that_started_it(given_scopes, narrowed, ask):
    office = Office(key())
    start = Ask(kind="run:start", name="fulfil")
    token = office.authority.mint(("run:start:fulfil", *given_scopes), namespace="default", ttl_s=60).token
    try:
        grant = office.authority.proved(token).grant(start, b"r" * 16, tuple(narrowed))
    except Misuse:
        return
    rights = office.authority.rights(grant, b"r" * 16)
    child = office.authority.rights(office.authority.inherited(grant, b"r" * 16, b"c" * 16), b"c" * 16)
    moment = office.authority.moment("default")
    by_token = allowed(token.caveats, ask, moment)
    by_run = rights.refusal(ask) is None
    assert not by_run or by_token
    assert by_run == (child.refusal(ask) is None)
    assert by_run == (by_token and any(parse_scope(one).covers(ask) for one in narrowed))
    office.authority.revoked.kids.add("k1")
    assert rights.refusal(ask) is not None


def test_a_revoked_grant_is_not_handed_on():
    """So whoever drops a revocation when every run began later drops nothing that could count."""
    office = Office(key())
    start = Ask(kind="run:start", name="fulfil")
    token = office.authority.mint(("run:start:fulfil", "call:stock"), namespace="default", ttl_s=60).token
    grant = office.authority.proved(token).grant(start, b"r" * 16)
    call = Ask(kind="call", name="stock", method="GET", segments=("v1",))
    early = office.authority.inherited(grant, b"r" * 16, b"c" * 16)
    assert office.authority.rights(early, b"c" * 16).refusal(call) is None
    entry = Revocation(kind=RevokedKind.ID, name=token.id, at_us=1, actor="a")
    office.revoked.add([entry])
    late = office.authority.inherited(grant, b"r" * 16, b"d" * 16)
    later = office.authority.inherited(late, b"d" * 16, b"e" * 16)
    # As if the revocation had been forgotten: those that began after it still hold nothing.
    other = Office(key())
    assert other.authority.rights(early, b"c" * 16).refusal(call) is None
    for run_id, held in ((b"d" * 16, late), (b"e" * 16, later)):
        refusal = other.authority.rights(held, run_id).refusal(call)
        assert refusal is not None
        assert refusal.reason == "cap_seal"


@RULES
@given(bound)
def test_a_caveat_that_comes_once_is_made_and_read_as_every_other(named: tuple[str, str | int]) -> None:
    try:
        made = caveat(*named)
    except ValueError:
        made = None
    try:
        raw, what = fresh(*named)
    except ValueError:
        assert made is None
    else:
        assert (raw, (what,)) == (made, read([raw]))


@given(scopes)
def test_only_what_binds_the_presenting_is_made_without_a_look(scope: str) -> None:
    for name in ("act", "ns", "aud", "epoch", "tenant"):
        with contextlib.suppress(ValueError):
            raise AssertionError(f"{name} was made: {fresh(name, scope)}")


@RULES
@given(tokens)
def test_a_tag_is_the_same_whenever_it_is_looked_at(token: Token) -> None:
    first = token.tag
    assert token.tag == first == decode(encode(token)).tag
    assert proves(RK, token)

"""What must hold for every provider there is, also for the next one: nothing unproven gets in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rco.bridge.contract import Handshake
from rco.bridge.forms import is_form
from rco.bridge.providers import CATALOGUE
from rco.errors import Reason, Refused
from rco.kit.clock import iso
from rco.kit.digest import content_address
from rco.model.delivery import Delivery

UNPROVEN = {Reason.UNAUTH, Reason.MALFORMED}


def refused(verifier: Any, headers: Any, body: bytes, now_us: int) -> Refused:
    with pytest.raises(Refused) as caught:
        verifier.verify(headers, body, now_us, "corr-0001")
    return caught.value


def signature(case: Any, headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    name = case["signature_header"].encode()
    return next((at, value) for at, (header, value) in enumerate(headers) if header == name)


def replaced(headers: list[tuple[bytes, bytes]], at: int, value: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value if index == at else old) for index, (name, old) in enumerate(headers)]


def test_every_kind_has_vectors(all_cases) -> None:
    assert {case["settings"]["kind"] for case in all_cases if case["good"]} == set(CATALOGUE)


def test_good_is_accepted(good_vector, build, as_wire, delivery_in) -> None:
    case, vector = good_vector
    body, expect = vector["body"].encode(), dict(vector["expect"])
    found = build(case).verify(as_wire(vector["headers"]), body, case["now_us"], "corr-0001")
    reply = None if isinstance(found, Delivery) else found.reply
    answer = (202, None) if reply is None else (reply.status, reply.body.decode())
    assert (expect.pop("status", 202), expect.pop("body", None)) == answer
    handshake = expect.pop("handshake", None)
    if handshake is not None:
        assert isinstance(found, Handshake)
        assert (found.name, found.secret_id) == (handshake, "certificate" if case.get("in_body") else "main")
        return
    delivery = delivery_in(found)
    event = delivery.event
    assert delivery.value == json.loads(event.data)
    assert delivery.data_b3 in ("", content_address(event.data))
    told = {
        "id": event.id,
        "type": event.type,
        "time_us": event.time_us,
        "secret_id": delivery.secret_id,
        "subject": event.subject,
        "data": json.loads(event.data),
    }
    assert {key: told[key] for key in expect} == expect
    form = is_form(dict(as_wire(vector["headers"])).get(b"content-type"))
    assert "data" in expect or event.data == body or form or case.get("in_body")
    assert delivery.b3 == content_address(body)
    assert event.corr_id == "corr-0001"
    assert event.origin == delivery.provider == case["settings"]["name"]
    assert event.received_us == case["now_us"]
    assert len(delivery.claim) == 32


def test_bad_is_refused_with_exactly_this_reason(bad_vector, build, as_wire) -> None:
    case, vector = bad_vector
    verifier = build(case, secrets=vector.get("secrets"))
    error = refused(verifier, as_wire(vector["headers"]), vector["body"].encode(), case["now_us"])
    assert {"reason": error.reason.word, "status": error.status, "detail": error.detail} == vector["refused"]


def test_unsigned_is_refused(keyed_case, build, as_wire) -> None:
    case = keyed_case
    good = case["good"][0]
    headers = [pair for pair in as_wire(good["headers"]) if pair[0].decode() != case["signature_header"]]
    error = refused(build(case), headers, good["body"].encode(), case["now_us"])
    assert (error.reason, error.detail) == (Reason.UNAUTH, "sig_missing")
    assert error.status == case["settings"].get("bad_signature_status", 401)


def test_signed_with_another_secret_is_refused(keyed_case, build, as_wire) -> None:
    case = keyed_case
    good = case["good"][0]
    ref = case["settings"]["secrets"][0]["ref"]
    verifier = build(case, secrets={ref: case["other_secret"]})
    error = refused(verifier, as_wire(good["headers"]), good["body"].encode(), case["now_us"])
    assert (error.reason, error.detail) == (Reason.UNAUTH, "sig_mismatch")


@pytest.mark.parametrize("keep", [0, 1, 0.25, 0.5, -2, -1], ids=str)
def test_empty_and_truncated_signatures_are_refused(keyed_case, build, as_wire, keep) -> None:
    case = keyed_case
    good = case["good"][0]
    headers = as_wire(good["headers"])
    at, value = signature(case, headers)
    cut = value[: round(len(value) * keep) if isinstance(keep, float) else keep]
    error = refused(build(case), replaced(headers, at, cut), good["body"].encode(), case["now_us"])
    assert error.reason is Reason.UNAUTH


@pytest.mark.parametrize("second_is", ["the same", "another"])
def test_doubled_signed_headers_are_refused(keyed_case, build, as_wire, second_is) -> None:
    case = keyed_case
    good = case["good"][0]
    headers = as_wire(good["headers"])
    for name in case["signed_headers"]:
        at = [header.decode() for header, _ in headers].index(name)
        second = headers[at] if second_is == "the same" else (headers[at][0], b"x")
        for doubled in ([*headers, second], [second, *headers]):
            error = refused(build(case), doubled, good["body"].encode(), case["now_us"])
            assert (error.reason, error.detail) == (Reason.MALFORMED, "header_repeated")


def test_no_bit_of_the_body_may_change(signed_case, build, as_wire) -> None:
    case = signed_case
    good = case["good"][0]
    verifier, headers, body = build(case), as_wire(good["headers"]), good["body"].encode()
    for at in range(len(body)):
        for bit in range(8):
            changed = bytearray(body)
            changed[at] ^= 1 << bit
            error = refused(verifier, headers, bytes(changed), case["now_us"])
            assert (error.reason, error.detail) == (Reason.UNAUTH, "sig_mismatch")
    for changed_length in (body[:-1], body[1:], body + b" ", b"", body + body):
        assert refused(verifier, headers, changed_length, case["now_us"]).detail == "sig_mismatch"


def test_no_bit_of_a_signed_header_may_change(keyed_case, build, as_wire) -> None:
    case = keyed_case
    good = case["good"][0]
    verifier, headers, body = build(case), as_wire(good["headers"]), good["body"].encode()
    for name in case["signed_headers"]:
        at = [header.decode() for header, _ in headers].index(name)
        value = headers[at][1]
        for position in range(len(value)):
            for bit in range(8):
                changed = bytearray(value)
                changed[position] ^= 1 << bit
                error = refused(verifier, replaced(headers, at, bytes(changed)), body, case["now_us"])
                assert error.reason is Reason.UNAUTH, (name, position, bit)


def test_another_provider_s_request_is_refused(case, all_cases, build, as_wire) -> None:
    good = case["good"][0]
    for other in all_cases:
        if other["settings"]["name"] != case["settings"]["name"]:
            error = refused(build(other), as_wire(good["headers"]), good["body"].encode(), other["now_us"])
            assert error.reason in UNPROVEN


def test_the_body_is_not_looked_into_before_the_signature_holds(signed_case, build, as_wire) -> None:
    case = signed_case
    good = case["good"][0]
    headers = as_wire(good["headers"])
    for junk in (b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"a":1,"a":2}'):
        assert refused(build(case), headers, junk, case["now_us"]).detail == "sig_mismatch"


def test_a_failed_signature_has_the_provider_s_status(keyed_case, build, as_wire) -> None:
    case = keyed_case
    good = case["good"][0]
    for status in (400, 401, 403):
        error = refused(build(case, bad_signature_status=status), [], good["body"].encode(), case["now_us"])
        assert (error.reason, error.status) == (Reason.UNAUTH, status)


def test_old_and_new_secret_hold_during_a_rotation(delivery_in, keyed_case, build, as_wire) -> None:
    case = keyed_case
    good = case["good"][0]
    headers, body, now_us = as_wire(good["headers"]), good["body"].encode(), case["now_us"]
    ref = case["settings"]["secrets"][0]["ref"]
    values = {"env:OLD": case["secrets"][ref], "env:NEW": case["other_secret"]}
    old, new = {"secret_id": "old", "ref": "env:OLD"}, {"secret_id": "new", "ref": "env:NEW"}
    for order in ([old, new], [new, old]):
        verifier = build_with(build, case, order, values)
        assert delivery_in(verifier.verify(headers, body, now_us, "corr-0001")).secret_id == "old"
    assert refused(build_with(build, case, [new], values), headers, body, now_us).detail == "sig_mismatch"


def build_with(build: Any, case: Any, secrets: list[dict[str, str]], values: dict[str, str]) -> Any:
    changed = {**case, "settings": {**case["settings"], "secrets": secrets}, "secrets": values}
    return build(changed)


def test_a_secret_counts_only_in_its_time(delivery_in, keyed_case, build, as_wire) -> None:
    case = keyed_case
    good = case["good"][0]
    headers, body, now_us = as_wire(good["headers"]), good["body"].encode(), case["now_us"]
    ref = case["settings"]["secrets"][0]["ref"]
    values = {"env:OLD": case["secrets"][ref], "env:NEW": case["other_secret"]}
    at, before, after = iso(now_us), iso(now_us - 1), iso(now_us + 1)
    always = {"secret_id": "new", "ref": "env:NEW"}
    ended = {"secret_id": "old", "ref": "env:OLD", "not_after": before}
    ends_now = {**ended, "not_after": at}
    begins_later = {"secret_id": "old", "ref": "env:OLD", "not_before": after}
    begins_now = {**begins_later, "not_before": at}
    for secret in (ended, begins_later):
        error = refused(build_with(build, case, [secret, always], values), headers, body, now_us)
        assert error.detail == "sig_mismatch"
    for secret in (ends_now, begins_now):
        verifier = build_with(build, case, [secret, always], values)
        assert delivery_in(verifier.verify(headers, body, now_us, "corr-0001")).secret_id == "old"


def test_when_all_secrets_have_ended_nothing_gets_in(keyed_case, build, as_wire) -> None:
    case = keyed_case
    good = case["good"][0]
    ref = case["settings"]["secrets"][0]["ref"]
    ending = [{"secret_id": "old", "ref": ref, "not_after": iso(case["now_us"] - 1_000_000)}]
    changed = {**case, "settings": {**case["settings"], "secrets": ending}}
    verifier = build(changed, now_us=case["now_us"] - 60_000_000)
    error = refused(verifier, as_wire(good["headers"]), good["body"].encode(), case["now_us"])
    assert (error.reason, error.detail) == (Reason.UNAUTH, "no_active_secret")


def test_a_repeat_has_the_same_claim_and_nothing_else_has(delivery_in, case, build, as_wire) -> None:
    good = case["good"][0]
    headers, body, now_us = as_wire(good["headers"]), good["body"].encode(), case["now_us"]
    first = delivery_in(build(case).verify(headers, body, now_us, "corr-0001"))
    again = delivery_in(build(case).verify(headers, body, now_us + 20_000_000, "corr-0002"))
    renamed = delivery_in(build(case, name="other").verify(headers, body, now_us, "corr-0003"))
    assert first.claim == again.claim
    assert first.claim != renamed.claim
    assert first.claim_ttl_s >= 7 * 86400


def test_editing_what_is_not_signed_does_not_change_the_claim(delivery_in, case, build, as_wire) -> None:
    good = case["good"][0]
    headers, body, now_us = as_wire(good["headers"]), good["body"].encode(), case["now_us"]
    first = delivery_in(build(case).verify(headers, body, now_us, "corr-0001"))
    for at, (name, _) in enumerate(headers):
        if name.decode() in case["signed_headers"]:
            continue
        edited = replaced(headers, at, b"1e8400e2-2f3a-11ee-be56-0242ac120002")
        try:
            again = delivery_in(build(case, type="fixed", type_header=None).verify(edited, body, now_us, "corr-0001"))
        except Refused:
            continue
        assert again.claim == first.claim

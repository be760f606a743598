"""Errands, handshakes and answers of the sender's own, over real sockets: a certificate fetched, a topic confirmed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rco.bridge.certificates import Certificates
from rco.bridge.contract import ProviderSettings
from rco.bridge.kind import Signing
from rco.bridge.providers import CATALOGUE
from rco.errors import Unreachable
from rco.model.decision import Verb

VECTORS = Path(__file__).parents[3] / "vectors"


def case_of(kind: str, name: str) -> dict[str, Any]:
    cases = json.loads((VECTORS / f"{kind}.json").read_text())["cases"]
    return next(case for case in cases if case["settings"]["name"] == name)


class Origin:
    """Certificates by address; each answer waits for ``open``."""

    def __init__(self, served: dict[str, str]) -> None:
        self.served, self.asked = served, list[str]()
        self.open = asyncio.Event()
        self.open.set()
        self.away = False

    async def __call__(self, url: str, limit_bytes: int) -> tuple[int, bytes]:
        self.asked.append(url)
        await self.open.wait()
        if self.away:
            raise Unreachable("away")
        return (200, self.served[url].encode()) if url in self.served else (404, b"")


async def start(run_edge: Any, kind: str, name: str) -> tuple[Any, Origin, dict[str, Any]]:
    case = case_of(kind, name)
    origin = Origin(case.get("certificates", {}))
    edge = await run_edge(
        more=[msgspec.convert(case["settings"], ProviderSettings)],
        secrets=case["secrets"],
        certificates=Certificates(origin),
    )
    return edge, origin, case


def signed(edge: Any, case: dict[str, Any], body: bytes, secret: str = "main", **options: Any) -> bytes:
    kind = CATALOGUE[case["settings"]["kind"]]
    assert kind.sign is not None
    headers, sent = kind.sign(
        Signing(
            settings=msgspec.convert(case["settings"], ProviderSettings),
            secret=case.get("signing_keys", case["secrets"] | {"main": case["secrets"].get("env:MAIN")})[secret],
            body=body,
            at_us=edge.clock.now_us(),
            options=options,
        )
    )
    media = [] if any(name.lower() == "content-type" for name, _ in headers) else [("Content-Type", "application/json")]
    headers = [("Host", "rco.example"), *media, *headers]
    return edge.request(headers, sent, path=f"/webhooks/{case['settings']['name']}")


def sns(edge: Any, case: dict[str, Any], secret: str = "main", **fields: str) -> bytes:
    good = next(vector for vector in case["good"] if vector["name"] == "version 2")
    return signed(edge, case, b"Hello", secret, **{**good["sign"]["options"], "fields": fields})


def confirmation(case: dict[str, Any]) -> dict[str, str]:
    good = next(vector for vector in case["good"] if vector["name"] == "subscription confirmation")
    return good["sign"]["options"]["fields"]


async def test_a_certificate_is_fetched_once_for_all_that_wait(run_edge) -> None:
    edge, origin, case = await start(run_edge, "aws-sns", "sns")
    origin.open.clear()
    asks = [asyncio.create_task(edge.ask(sns(edge, case, MessageId=f"m-{n}"))) for n in range(8)]
    while edge.turnstile.inflight < 8:
        await asyncio.sleep(0)
    origin.open.set()
    answers = await asyncio.gather(*asks)
    assert [answer.status for answer in answers] == [202] * 8
    assert len(origin.asked) == 1
    assert len(edge.deliveries) == 8
    assert edge.metric('svc_interop_secret_matched_total{provider="sns",secret_id="certificate"}') == 8
    assert (await edge.ask(sns(edge, case, MessageId="m-0"))).json["duplicate"] is True


async def test_a_topic_is_confirmed_only_after_its_signature_held(run_edge) -> None:
    edge, origin, case = await start(run_edge, "aws-sns", "sns")
    fields = confirmation(case)
    assert (await edge.ask(sns(edge, case, "other", **fields))).status == 401
    assert fields["SubscribeURL"] not in origin.asked
    answer = await edge.ask(sns(edge, case, **fields))
    assert (answer.status, answer.body) == (200, b"{}")
    assert origin.asked[-1] == fields["SubscribeURL"]
    assert edge.deliveries == []
    shaken = [decision for decision in edge.decisions if decision.verb is Verb.HANDSHAKE]
    assert [decision.reason for decision in shaken] == ["subscription_confirmation"]


async def test_a_confirmation_that_fails_is_not_acknowledged(run_edge) -> None:
    edge, origin, case = await start(run_edge, "aws-sns", "sns")
    assert (await edge.ask(sns(edge, case))).status == 202
    origin.away = True
    answer = await edge.ask(sns(edge, case, **confirmation(case)))
    assert (answer.status, answer.reason) == (503, "DOWNSTREAM_UNAVAILABLE")
    assert answer.header("retry-after") is not None


@pytest.mark.parametrize("vector", [
    vector["name"] for vector in case_of("aws-sns", "sns")["bad"]
    if vector["refused"]["detail"] in {"cert_foreign", "topic_unknown", "sig_missing", "sig_malformed"}
])  # fmt: skip
async def test_what_names_a_foreign_place_causes_no_request(run_edge, vector) -> None:
    edge, origin, case = await start(run_edge, "aws-sns", "sns")
    bad = next(one for one in case["bad"] if one["name"] == vector)
    headers = [("Host", "rco.example"), *((name, value) for name, value in bad["headers"])]
    answer = await edge.ask(edge.request(headers, bad["body"].encode(), path="/webhooks/sns"))
    assert (answer.status, answer.reason) == (401, "UNAUTH")
    assert origin.asked == []


async def test_an_origin_that_is_away_is_told_to_the_sender(run_edge) -> None:
    edge, origin, case = await start(run_edge, "aws-sns", "sns")
    origin.away = True
    answer = await edge.ask(sns(edge, case))
    assert (answer.status, answer.reason) == (503, "DOWNSTREAM_UNAVAILABLE")
    origin.away = False
    assert (await edge.ask(sns(edge, case))).status == 202


async def test_discord_s_probe_and_ping(run_edge) -> None:
    edge, _, case = await start(run_edge, "discord", "discord")
    assert (await edge.ask(signed(edge, case, b'{"type":1}', "other"))).status == 401
    pong = await edge.ask(signed(edge, case, b'{"type":1}'))
    assert (pong.status, pong.body, pong.header("content-type")) == (200, b'{"type":1}', "application/json")
    assert pong.header("x-corr-id")
    command = await edge.ask(signed(edge, case, b'{"type":2,"id":"1"}'))
    assert (command.status, command.body) == (200, b'{"type":5}')
    again = await edge.ask(signed(edge, case, b'{"type":2,"id":"1"}'))
    assert (again.status, again.body) == (200, b'{"type":5}')
    assert len({delivery.claim for delivery in edge.deliveries}) == 1


async def test_twilio_gets_an_answer_without_a_body(run_edge) -> None:
    edge, _, case = await start(run_edge, "twilio", "twilio")
    good = case["good"][0]
    headers = [("Host", "rco.example"), *((name, value) for name, value in good["headers"])]
    forged = [("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "evil.example")]
    for more in ([], forged):
        answer = await edge.ask(edge.request([*headers, *more], good["body"].encode(), path="/webhooks/twilio"))
        assert (answer.status, answer.body) == (204, b"")
    wrong = [pair for pair in headers if pair[0] != "content-type"] + [("content-type", "text/plain")]
    answer = await edge.ask(edge.request(wrong, good["body"].encode(), path="/webhooks/twilio"))
    assert (answer.status, answer.reason) == (415, "MEDIA_TYPE")

"""What the senders' npm libraries sign, we verify; what we sign as the sender, they verify. ``make test-npm``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rco.bridge.contract import Answered, ProviderSettings
from rco.bridge.kind import Signing
from rco.bridge.providers import CATALOGUE, build_verifier
from rco.errors import Refused
from rco.kit.clock import SystemClock
from rco.model.delivery import Delivery

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "vectors"
SIGNED = {
    "github": ("github", "github", b'{"action":"opened","number":7}', {"x-github-event": "pull_request"}),
    "standard-webhooks": ("standard-webhooks", "acme", b'{"type":"a"}', {}),
    "standard-webhooks-v1a": ("standard-webhooks", "acme-asymmetric", b'{"type":"a"}', {}),
    "stripe": ("stripe", "stripe", b'{"id":"evt_1","type":"invoice.paid"}', {}),
    "twilio": (
        "twilio",
        "twilio",
        b"MessageSid=SM1&MessageStatus=delivered&From=Zoe+B&Body=&Media[]=b&Media[]=a",
        {"content-type": "application/x-www-form-urlencoded"},
    ),
}
VERIFIED = (
    "standard-webhooks",
    "standard-webhooks-v1a",
    "stripe",
    "discord",
    "sendgrid",
    "shopify",
    "github",
    "twilio",
    "aws-sns",
)
NAMES = {"standard-webhooks": "acme", "standard-webhooks-v1a": "acme-asymmetric", "aws-sns": "sns"}


class Oracle:
    """The libraries, in one process of node."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", "oracle.mjs"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **what: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    oracle = Oracle()
    yield oracle
    assert oracle.process.stdin is not None
    oracle.process.stdin.close()
    assert oracle.process.wait(20) == 0


def case_of(kind: str, name: str) -> dict[str, Any]:
    cases = json.loads((VECTORS / f"{kind}.json").read_text())["cases"]
    return next(case for case in cases if case["settings"]["name"] == name)


def verifier_of(case: dict[str, Any], now_us: int) -> Any:
    settings = msgspec.convert(case["settings"], ProviderSettings)
    return build_verifier(settings, resolve=lambda ref: case["secrets"][ref].encode(), now_us=now_us)


@pytest.mark.parametrize("scheme", SIGNED)
def test_signed_by_the_library_and_verified_by_us(oracle: Oracle, scheme: str) -> None:
    kind, name, body, more = SIGNED[scheme]
    case, now_us = case_of(kind, name), SystemClock().now_us()
    said = oracle.ask(
        do="sign",
        kind=scheme,
        secret=case["secrets"]["env:MAIN"],
        private=case.get("signing_keys", {}).get("main"),
        url=case["settings"].get("scheme", {}).get("public_url"),
        body=body.decode(),
        at_s=now_us // 1_000_000,
    )
    made = [(key.encode(), value.encode()) for key, value in said["headers"].items()]
    headers = [*made, *((key.encode(), value.encode()) for key, value in more.items())]
    verifier = verifier_of(case, now_us)
    found = verifier.verify(headers, body, now_us, "corr-0001")
    assert isinstance(found, (Delivery, Answered))
    for at in range(len(body)):
        for bit in range(8):
            changed = body[:at] + bytes((body[at] ^ 1 << bit,)) + body[at + 1 :]
            with pytest.raises(Refused):
                verifier.verify(headers, changed, now_us, "corr-0001")
    for index, (key, value) in enumerate(made):
        for at in range(len(value)):
            for bit in range(8):
                flipped = value[:at] + bytes((value[at] ^ 1 << bit,)) + value[at + 1 :]
                edited = [*headers[:index], (key, flipped), *headers[index + 1 :]]
                with pytest.raises(Refused):
                    verifier.verify(edited, body, now_us, "corr-0001")


@pytest.mark.parametrize("scheme", VERIFIED)
def test_signed_by_us_and_verified_by_the_library(oracle: Oracle, scheme: str) -> None:
    kind = scheme.removesuffix("-v1a")
    case, now_us = case_of(kind, NAMES.get(scheme, scheme)), SystemClock().now_us()
    vector = case["good"][0]
    headers, body = vector["headers"], vector["body"].encode()
    sign = CATALOGUE[kind].sign
    if sign is not None and "sign" in vector:
        made, body = sign(
            Signing(
                settings=msgspec.convert(case["settings"], ProviderSettings),
                secret=case.get("signing_keys", {}).get("main") or case["secrets"]["env:MAIN"],
                body=body,
                at_us=now_us,
                options=vector["sign"].get("options", {}),
            )
        )
        headers = [[name, value] for name, value in made]
    ask = {
        "do": "verify",
        "kind": scheme,
        "secret": case["secrets"].get("env:MAIN"),
        "private": case.get("signing_keys", {}).get("main"),
        "url": case["settings"].get("scheme", {}).get("public_url"),
        "headers": {name.lower(): value for name, value in headers},
        "certificate": next(iter(case.get("certificates", {}).values()), ""),
    }
    assert oracle.ask(body=body.decode(), **ask) == {"ok": True}
    other = body.replace(b"a", b"b", 1)
    assert other != body
    assert oracle.ask(body=other.decode(), **ask)["ok"] is False

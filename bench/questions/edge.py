"""What a webhook costs before the store: its signature, its decoding into an event, and the capability that it becomes,
minted and checked for the acceptance; then, besides, checked for the start and sealed into what the run holds.

CPU of this process, 1 KiB bodies signed as Standard Webhooks (HMAC-SHA256), each of its own; no HTTP and no store.
"""

from __future__ import annotations

import time

from bench.figure import Asked, Measured, Reach
from bench.question import Question, Round
from bench.signing import BODY_BYTES, SECRET, requests
from rco.bridge.contract import ProviderSettings, SecretRef
from rco.bridge.providers import build_verifier
from rco.capability.authority import Authority
from rco.capability.keyring import Key, Keyring
from rco.capability.revoked import Revoked
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.delivery import Delivery
from rco.model.grant_rule import GrantRule
from rco.model.subscription import Subscription
from rco.operations.clearance import Cleared, Granting
from rco.operations.policy import Policy
from rco.telemetry.metrics import Metrics

__all__ = ["QUESTION"]

_SCOPES = ["webhook:accept:shop", "run:start:invoice", "call:ledger:POST:/entries"]
_FRESH_S = 3600.0
_SUBSCRIPTION = Subscription(name="invoice:invoice.paid", workflow="invoice", type="invoice.paid")


class _Office:
    """As much of the office as minting needs."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority


async def _ask(round: Round) -> list[Measured]:
    count, warm = round.count(20_000, least=50), round.count(2_000, least=20)
    clock = SystemClock()
    ids = Ids(clock)
    settings = ProviderSettings(
        name="shop", kind="standard-webhooks", secrets=[SecretRef(secret_id="bench", ref="env:BENCH")]
    )
    verifier = build_verifier(settings, resolve=lambda _: SECRET.encode(), now_us=clock.now_us())
    revoked = Revoked(clock)
    # Nothing is revoked here, and the knowledge of it stays fresh.
    revoked.heard(clock.monotonic() + _FRESH_S, 0)
    ring = Keyring([Key("k1", 1, bytes(range(32)), 0, 0, None)])
    authority = Authority(lambda: ring, revoked, clock=clock, ids=ids, audience="rco", life_max_s=3600)
    granting = Granting(
        _Office(authority),  # type: ignore[arg-type]
        Policy([GrantRule(to=["provider:shop"], scopes=_SCOPES)]),
        Metrics(process=False),
        ttl_s=60,
    )
    wanted = [_split(one) for one in requests(count + warm, path="/webhooks/shop", type="invoice.paid", prefix="edge")]

    def verified(headers: list[tuple[bytes, bytes]], body: bytes) -> Delivery:
        found = verifier.verify(headers, body, clock.now_us(), ids.ulid(), None)
        assert type(found) is Delivery, found
        return found

    def translated(headers: list[tuple[bytes, bytes]], body: bytes) -> Cleared:
        delivery = verified(headers, body)
        cleared = granting.event(delivery.event, delivery.data_b3)
        cleared.accept("shop")
        return cleared

    def granted(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        grant_for = translated(headers, body).start(_SUBSCRIPTION)
        assert grant_for is not None
        assert grant_for(ids.uuid7())

    told = {
        "each": "HMAC-SHA256 verified, body decoded, event made, capability minted and checked (its tag is "
        "made when somebody first looks at it, which nobody does at an event's)",
        "granted": "and checked for the start, the run's grant sealed",
        "body_bytes": BODY_BYTES,
        "store": "none",
        "count": count,
    }
    measured = []
    for name, work in (("edge", translated), ("edge-verify", verified), ("edge-granted", granted)):
        for headers, body in wanted[:warm]:
            work(headers, body)
        began = time.process_time()
        for headers, body in wanted[warm:]:
            work(headers, body)
        spent = time.process_time() - began
        measured.append(
            Measured(name=name, value=spent / count * 1e6, cpu_s_per_1000=spent / count * 1000, settings=told)
        )
    return measured


def _split(request: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    return [(name.strip(), value.strip()) for name, _, value in lines], body


QUESTION = Question(
    asked=(
        Asked(
            name="edge",
            text="verify and translate a webhook, without HTTP and store: CPU each",
            unit="us",
            reach=Reach(60, at_most=True),
        ),
        Asked(name="edge-verify", text="… signature and decoding alone", unit="us"),
        Asked(name="edge-granted", text="… and with what the run that it starts holds", unit="us"),
    ),
    ask=_ask,
    stores=("-",),
    rounds_max=3,
)

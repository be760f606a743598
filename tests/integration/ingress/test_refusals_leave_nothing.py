"""What a refused request leaves behind: nothing that only the garbage collector could find, the body least of all.

An error that is kept in a variable of a frame which it passed through makes a ring with it. The collector looks after
50 000 containers (``rco.kit.memory``), so a stranger who sends bodies that are refused would fill the memory with them.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from rco.bridge.contract import ProviderSettings, SecretRef

BODY = b"x" * 50_000
TWILIO = ProviderSettings(
    name="calls",
    kind="twilio",
    secrets=[SecretRef(secret_id="main", ref="env:PLAIN")],
    scheme={"public_url": "https://rco.example/webhooks/calls"},
)


@pytest.fixture
def left() -> Iterator[Any]:
    """Call it for what the collector finds of what was let go meanwhile."""
    gc.collect()
    gc.disable()

    def look() -> list[Any]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            return [one for one in gc.garbage if type(one).__name__ in ("Refused", "frame", "traceback", "coroutine")]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()

    yield look
    gc.enable()


def requests(edge: Any) -> dict[str, tuple[bytes, int]]:
    bomb = gzip.compress(b"x" * (1 << 20))
    form = [
        ("Host", "rco.example"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Twilio-Signature", "A" * 27 + "="),
    ]
    return {
        "a wrong signature": (edge.request(edge.signed(b"another"), BODY), 401),
        "no signature": (edge.request([("Host", "rco.example"), ("Content-Type", "application/json")], BODY), 401),
        "not JSON": (edge.request(edge.signed(BODY), BODY), 400),
        "a bomb": (edge.request(edge.signed(bomb, ("Content-Encoding", "gzip")), bomb), 400),
        "a broken stream": (edge.request(edge.signed(BODY, ("Content-Encoding", "gzip")), BODY), 400),
        "another method": (edge.request(method="PUT"), 405),
        "nobody": (edge.request(path="/webhooks/nobody"), 404),
        "a form with a wrong signature": (edge.request(form, b"a=1", path="/webhooks/calls"), 401),
    }


async def test_a_refused_webhook_leaves_nothing(run_edge: Any, left: Any) -> None:
    edge = await run_edge(more=[TWILIO])
    for name, (data, status) in requests(edge).items():
        assert (await edge.ask(data)).status == status, name
        while edge.listener._serving.requests:
            # The answer is here before the last line of the application has run.
            await asyncio.sleep(0)
        assert left() == [], name

"""``python -m bench.floor``: a server that does nothing. Prints its port, ends when its input does."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from rco.kit import memory
from rco.server.framing import Receive, Scope, Send
from rco.server.serving import Listener

__all__ = ["main"]

_HEADERS = [(b"content-type", b"application/json")]


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    await receive()
    await send({"type": "http.response.start", "status": 202, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b"{}"})


async def main() -> None:
    listener = Listener(_app)
    await listener.start()
    memory.settle()
    sys.stdout.write(f"{listener.port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await listener.stop()


if __name__ == "__main__":
    uvloop.run(main())

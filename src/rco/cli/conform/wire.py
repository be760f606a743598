"""One request over a connection of its own, with exactly the headers that it is given: repeated, empty or odd ones
too, which no HTTP client would send."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

import msgspec

from rco.errors import Unreachable

__all__ = ["Said", "send"]

TIMEOUT_S = 10.0
ANSWER_CAP_BYTES = 64 << 10


class Said(msgspec.Struct, frozen=True):
    """What the instance answered."""

    status: int
    headers: dict[str, str]
    body: bytes


async def send(url: str, path: str, headers: list[tuple[str, str]], body: bytes) -> Said:
    """``POST`` to ``path`` at ``url``. Raises ``Unreachable`` when there is no whole answer."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not host:
        raise Unreachable(f"{url!r} is not an address.", cure="Write e.g. http://127.0.0.1:8080.")
    port = parts.port or (443 if tls else 80)
    lines = [*headers, ("Connection", "close")]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.insert(0, ("Host", parts.netloc))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    request = f"POST {parts.path.rstrip('/')}{path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=ssl.create_default_context() if tls else None, limit=ANSWER_CAP_BYTES
            )
            try:
                writer.write(request)
                await writer.drain()
                return await _answer(reader)
            finally:
                writer.close()
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        raise Unreachable(f"{url} gives no answer ({type(error).__name__}).", cure="See that it runs there.") from error


async def _answer(reader: asyncio.StreamReader) -> Said:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    if "content-length" in headers:
        body = await reader.readexactly(min(int(headers["content-length"]), ANSWER_CAP_BYTES))
    else:
        body = b"" if head[0].split(" ")[1] == "204" else await reader.read(ANSWER_CAP_BYTES)
    return Said(int(head[0].split(" ")[1]), headers, body)

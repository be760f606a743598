"""A sender: many connections, one request at a time on each, in a process of its own.

``python -m bench.load PORT PATH TYPE PREFIX CONNECTIONS COUNT`` signs its requests, says ``ready``, begins when it
reads a line, and prints what came of it as JSON. Plain sockets and epoll: about a tenth of a core for 10 000 requests a
second, so the service is what is measured.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Sequence

import msgspec

from bench.signing import requests

__all__ = ["Load", "send_all"]

_SILENCE_S = 30.0


class Load(msgspec.Struct, frozen=True):
    """What came of it: seconds from the first request to the last answer, milliseconds for each, answers by status."""

    took_s: float
    cpu_s: float
    wait_ms: list[float]
    statuses: dict[int, int]


class _Connection:
    """One connection and the answer that it is reading."""

    __slots__ = ("began", "held", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""
        self.began = 0.0

    def send(self, request: bytes) -> None:
        self.began = time.perf_counter()
        # 1.5 KiB always fit into the empty buffer of a connection whose last answer is here.
        self.socket.sendall(request)

    def read(self) -> int:
        """The status of the answer when it is here as a whole, else 0. Raises ``ConnectionError``."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the service closed a connection")
        self.held = held = self.held + part
        end = held.find(b"\r\n\r\n")
        if end < 0:
            return 0
        head = held[:end].lower()
        at = head.find(b"content-length:")
        if at < 0:
            raise ConnectionError("an answer without a length")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(held) < end + 4 + length:
            return 0
        self.held = b""
        return int(held[9:12])


def send_all(port: int, wanted: Sequence[bytes], connections: int) -> Load:
    """Send every one of ``wanted``. Raises ``ConnectionError`` when the service goes away and ``TimeoutError`` when it
    is silent for 30 s."""
    every = [_Connection(port) for _ in range(min(connections, len(wanted)))]
    waiting: list[float] = []
    statuses: dict[int, int] = {}
    with selectors.EpollSelector() as selector:
        for one in every:
            selector.register(one.socket, selectors.EVENT_READ, one)
        left = iter(wanted)
        cpu, began = time.process_time(), time.perf_counter()
        for one in every:
            one.send(next(left))
        open_now = len(every)
        while open_now:
            events = selector.select(_SILENCE_S)
            if not events:
                raise TimeoutError(f"no answer for {_SILENCE_S:g} s, {len(waiting)} of {len(wanted)} are here")
            for key, _ in events:
                one = key.data
                status = one.read()
                if not status:
                    continue
                waiting.append((time.perf_counter() - one.began) * 1e3)
                statuses[status] = statuses.get(status, 0) + 1
                following = next(left, None)
                if following is None:
                    open_now -= 1
                else:
                    one.send(following)
        took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    for one in every:
        one.socket.close()
    return Load(took_s, cpu_s, waiting, statuses)


def main(port: str, path: str, type: str, prefix: str, connections: str, count: str) -> None:
    wanted = requests(int(count), path=path, type=type, prefix=prefix)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    load = send_all(int(port), wanted, int(connections))
    sys.stdout.write(msgspec.json.encode(load).decode() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

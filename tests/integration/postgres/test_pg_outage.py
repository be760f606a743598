"""A server that is away: the first who ask it are patient, everybody after them is told what is known."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from rco.errors import StoreError
from rco.kit.backoff import Backoff
from rco.store.postgres.connection import Outage, patiently
from rco.store.postgres.options import PostgresOptions

OPTIONS = PostgresOptions(backoff=Backoff(first_s=1e-9, cap_s=1e-9, jitter=0.0))
PATIENCE_S = 16.0


class Clock:
    def __init__(self) -> None:
        self.at_s = 1000.0

    def now_us(self) -> int:
        return round(self.at_s * 1e6)

    def monotonic(self) -> float:
        return self.at_s


class Server:
    """Answers, or takes ``wait_s`` to be found away."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.outage = Outage(PATIENCE_S)
        self.error: Exception | None = None
        self.wait_s = 0.1
        self.attempts = 0

    async def _work(self) -> str:
        self.attempts += 1
        if self.error is not None:
            self.clock.at_s += self.wait_s
            raise self.error
        return "found"

    async def ask(self) -> tuple[str, int, float]:
        """What came of it, after how many attempts and seconds."""
        began_s, self.attempts = self.clock.at_s, 0
        try:
            came = await patiently(self._work, self.clock, OPTIONS, PATIENCE_S, self.outage)
        except StoreError:
            came = "away"
        return came, self.attempts, self.clock.at_s - began_s


@pytest.fixture
def server() -> Server:
    return Server()


async def test_the_first_is_patient_and_who_comes_later_is_told_at_once(server: Server) -> None:
    server.error = ConnectionRefusedError("refused")
    came, attempts, took_s = await server.ask()
    assert (came, attempts > 100, took_s > PATIENCE_S) == ("away", True, True)
    for _ in range(5):
        came, attempts, took_s = await server.ask()
        assert (came, attempts, took_s < 1) == ("away", 2, True)
        server.clock.at_s += 5
    server.error = None
    assert (await server.ask())[:2] == ("found", 1)
    # A new outage is met with patience again.
    server.error = ConnectionRefusedError("refused")
    assert (await server.ask())[1] > 100


async def test_a_server_that_says_nothing_is_waited_for_once(server: Server) -> None:
    server.error, server.wait_s = TimeoutError(), 8.0
    assert await server.ask() == ("away", 3, 24.0)
    assert await server.ask() == ("away", 1, 8.0)


async def test_a_connection_that_an_outage_has_cut_is_no_outage(server: Server) -> None:
    """Everybody was told, nobody asked since, and it is back: the pool still holds what the outage has cut."""
    server.error = ConnectionRefusedError("refused")
    await server.ask()
    stale = [ConnectionResetError("reset"), None]

    async def work() -> str:
        error = stale.pop(0)
        if error is not None:
            raise error
        return "found"

    assert await patiently(work, server.clock, OPTIONS, PATIENCE_S, server.outage) == "found"


async def test_long_after_the_last_that_was_heard_of_an_outage_one_is_patient_again(server: Server) -> None:
    server.error = ConnectionRefusedError("refused")
    await server.ask()
    server.clock.at_s += 2 * PATIENCE_S
    assert (await server.ask())[1] > 100


@pytest.mark.parametrize("error", [asyncpg.DeadlockDetectedError("deadlock"), asyncpg.SerializationError("again")])
async def test_what_the_server_says_is_no_outage(server: Server, error: Exception) -> None:
    server.error = error
    for _ in range(2):
        assert (await server.ask())[1] > 100


async def test_those_who_wait_together_are_told_together(server: Server) -> None:
    server.error, server.wait_s = ConnectionRefusedError("refused"), 0.5

    async def one() -> str:
        try:
            return await patiently(server._work, server.clock, OPTIONS, PATIENCE_S, server.outage)
        except StoreError:
            return "away"

    assert await asyncio.gather(*(one() for _ in range(10))) == ["away"] * 10
    assert server.attempts < 60

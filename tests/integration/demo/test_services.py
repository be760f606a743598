"""The example services keep their word: real processes, a real ledger file."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from examples.services.faults import Fault, choose_fault
from examples.services.ledger import Ledger, read_ledger

ROOT = Path(__file__).parents[3]
ORDER = {"order": "o-1", "lines": [{"sku": "SKU-1", "quantity": 2}]}


@asynccontextmanager
async def serving(name: str, ledger: Path, *, seed: int, hold_s: float = 1.0) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"examples.services.{name}", "--ledger", str(ledger)),
        *("--seed", str(seed), "--hold", str(hold_s)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        yield f"http://127.0.0.1:{int(line.split()[-1])}"
    finally:
        process.kill()
        await process.wait()


def seed_for(service: str, about: str, *faults: Fault) -> int:
    """The first seed under which the attempts about this thing go as wanted."""
    return next(
        seed
        for seed in range(10_000)
        if all(choose_fault(seed, service, about, number) is fault for number, fault in enumerate(faults, 1))
    )


async def post(url: str, body: object, key: str = "k-1", timeout_s: float = 10) -> tuple[int, object]:
    headers = {"Idempotency-Key": key} if key else {}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s)) as client,
        client.post(url, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def test_a_key_stands_for_one_effect_and_one_answer_over_a_kill(tmp_path: Path) -> None:
    ledger = tmp_path / "inventory.jsonl"
    seed = seed_for("inventory", "POST /reservations o-1", Fault.NONE, Fault.NONE, Fault.NONE)
    async with serving("inventory", ledger, seed=seed) as url:
        first, repeat = [await post(f"{url}/reservations", ORDER) for _ in range(2)]
    async with serving("inventory", ledger, seed=seed) as url:
        after_kill = await post(f"{url}/reservations", ORDER)
    assert first == repeat == after_kill == (201, {"reservation": "res-o-1", "units": 2})
    assert [line["effect"] for line in read_ledger(ledger) if line["kind"] == "done"] == ["reserved"]
    assert [line["attempt"] for line in read_ledger(ledger) if line["kind"] == "seen"] == [1, 2, 3]


async def test_concurrent_requests_with_one_key_share_one_effect(tmp_path: Path) -> None:
    ledger = tmp_path / "shipping.jsonl"
    seed = seed_for("shipping", "POST /parcels o-1", Fault.NONE, Fault.NONE, Fault.NONE, Fault.NONE)
    async with serving("shipping", ledger, seed=seed) as url:
        answers = await asyncio.gather(*(post(f"{url}/parcels", {"order": "o-1"}) for _ in range(4)))
    assert [status for status, _ in answers] == [201] * 4
    assert sum(line["kind"] == "done" for line in read_ledger(ledger)) == 1


async def test_a_lost_answer_has_done_its_work_and_a_busy_one_has_not(tmp_path: Path) -> None:
    ledger = tmp_path / "payments.jsonl"
    body = {"order": "o-1", "amount_cents": 1200}
    seed = seed_for("payments", "POST /charges o-1", Fault.BUSY, Fault.ANSWER_LOST, Fault.NONE)
    async with serving("payments", ledger, seed=seed, hold_s=30) as url:
        assert (await post(f"{url}/charges", body))[0] == 503
        assert not any(line["kind"] == "done" for line in read_ledger(ledger))
        with pytest.raises(TimeoutError):
            await post(f"{url}/charges", body, timeout_s=0.5)
        assert [line["effect"] for line in read_ledger(ledger) if line["kind"] == "done"] == ["charged"]
        assert (await post(f"{url}/charges", body))[0] == 201
    assert sum(line["kind"] == "done" for line in read_ledger(ledger)) == 1


async def test_a_declined_order_is_declined_again_and_leaves_no_effect(tmp_path: Path) -> None:
    ledger = tmp_path / "payments.jsonl"
    body = {"order": "o-1", "amount_cents": 100_001}
    seed = seed_for("payments", "POST /charges o-1", Fault.NONE, Fault.NONE)
    async with serving("payments", ledger, seed=seed) as url:
        assert [(await post(f"{url}/charges", body, key))[0] for key in ("k-1", "k-2")] == [402, 402]
    assert [line["effect"] for line in read_ledger(ledger) if line["kind"] == "done"] == ["", ""]


async def test_a_request_that_cannot_be_done_says_what_it_lacks(tmp_path: Path) -> None:
    seed = seed_for("inventory", "POST /reservations", *[Fault.NONE] * 3)
    async with serving("inventory", tmp_path / "l.jsonl", seed=seed) as url:
        assert (await post(f"{url}/reservations", {"lines": []}))[0] == 422
        assert (await post(f"{url}/reservations", ORDER, key=""))[0] == 400


def test_faults_come_in_the_promised_shares_and_repeat() -> None:
    drawn = [choose_fault(7, "inventory", f"POST /reservations o-{n}", 1) for n in range(20_000)]
    shares = {fault: count / len(drawn) for fault, count in Counter(drawn).items()}
    assert shares[Fault.BUSY] == pytest.approx(0.10, abs=0.01)
    assert shares[Fault.ANSWER_LOST] == pytest.approx(0.02, abs=0.005)
    assert drawn == [choose_fault(7, "inventory", f"POST /reservations o-{n}", 1) for n in range(20_000)]


async def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path) -> None:
    ledger = tmp_path / "cut.jsonl"
    whole = b'{"kind":"done","key":"k","status":201,"body":{},"effect":"charged","order":"o"}\n'
    ledger.write_bytes(whole + b'{"kind":"done","key":"k2","sta')
    kept = Ledger(ledger)
    assert set(kept.answers) == {"k"}
    await kept.write({"kind": "seen", "about": "x", "attempt": 1})
    assert [line["kind"] for line in read_ledger(ledger)] == ["done", "seen"]

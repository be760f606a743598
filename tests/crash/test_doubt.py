"""What may not be repeated is not repeated: after a kill between effect and record the run is in doubt."""

from __future__ import annotations

import asyncio

import pytest
from tests.crash.customer import Customer
from tests.crash.verdict import gather, must_hold, until_closed
from tests.crash.world import NodeWorld

pytestmark = pytest.mark.timeout(60)

CHARGED = {"effect": "charged", "order": "", "key": ""}
ANSWER = {"status": 201, "headers": {}, "body": CHARGED, "b3": "", "fallback": False}
CASES = [
    # workflow, where it dies, how often the charge has happened by then, how it is settled
    ("once", "engine.attempt-done/charge", 1, "done", CHARGED),
    ("once", "engine.end-collected/charge", 1, "done", CHARGED),
    ("once", "engine.attempt-begins/charge", 0, "again", None),
    ("unkeyed", "call.answered/POST", 1, "done", ANSWER),
    ("unkeyed", "call.read/POST", 1, "done", ANSWER),
    ("unkeyed", "commit.before-commit/STEP_END", 1, "done", ANSWER),
    ("unkeyed", "call.before/POST", 0, "again", None),
    ("unkeyed", "commit.after-commit/STEP_INTENT", 0, "again", None),
]


async def state_of(node: NodeWorld, run_id: str, wanted: str) -> None:
    """Wait until the run is in this state, as the API says it."""
    seen = ""
    for _ in range(400):
        seen = (await (await node.door()).state(run_id))["state"]
        if seen == wanted:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"the run is {seen}, not {wanted}; the log ends:\n{node.tail()}")


def charged(node: NodeWorld, order: str) -> int:
    """How often it really happened, says the ledger."""
    lines = node.downstream.ledger.read_text().splitlines()
    return sum('"kind": "effect"' in line and '"what": "charged"' in line and f'"{order}"' in line for line in lines)


@pytest.mark.parametrize(("workflow", "trap", "happened", "verdict", "value"), CASES)
async def test_in_doubt(workflow: str, trap: str, happened: int, verdict: str, value: object, node: NodeWorld) -> None:
    prefix = f"calm{CASES.index((workflow, trap, happened, verdict, value))}x"
    order = f"{prefix}-1"
    customer = Customer(node, 1, prefix)
    await node.start(f"{trap}:1")
    starting = asyncio.create_task(customer.start(workflow, order))
    await node.death()
    await node.start()
    run_id = await starting
    await state_of(node, run_id, "in_doubt")
    assert charged(node, order) == happened
    # Doubt outlives further kills, and nobody tries meanwhile.
    await node.kill()
    await node.start()
    await state_of(node, run_id, "in_doubt")
    assert charged(node, order) == happened

    await (await node.door()).settle(run_id, "charge", verdict, value)
    await until_closed(node)
    assert charged(node, order) == 1
    must_hold(await gather(node, customer, prefix), node, "pytest tests/crash/test_doubt.py")


@pytest.mark.parametrize("workflow", ["once", "unkeyed"])
async def test_a_kill_before_the_intent_leaves_no_doubt(workflow: str, node: NodeWorld) -> None:
    prefix = f"calm{workflow}x"
    customer = Customer(node, 1, prefix)
    await node.start("commit.before-commit/STEP_INTENT:1")
    starting = asyncio.create_task(customer.start(workflow, f"{prefix}-1"))
    await node.death()
    await node.start()
    await starting
    await until_closed(node)
    assert charged(node, f"{prefix}-1") == 1
    must_hold(await gather(node, customer, prefix), node, "pytest tests/crash/test_doubt.py")

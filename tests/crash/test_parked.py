"""A parked run that was written to is woken by the next life, without anybody asking again."""

from __future__ import annotations

import pytest
from tests.crash.customer import Asked, Customer
from tests.crash.door import Unknown
from tests.crash.test_doubt import state_of
from tests.crash.verdict import gather, must_hold, until_closed
from tests.crash.world import NodeWorld

pytestmark = pytest.mark.timeout(60)

TRAPS = [
    # Committed, and nothing done about it; handed to the run that was loaded for it; taken, and that not committed;
    # taken and committed, so that no message is there any more to wake it.
    "commit.after-commit/SENT",
    "callback/_deliver_if",
    "engine.journal-read",
    "engine.message-here/signal",
    "engine.message-collected/signal",
    "commit.before-commit/TAKEN",
    "commit.after-commit/TAKEN",
    "call.before/POST",
]


@pytest.mark.parametrize("trap", TRAPS)
async def test_a_signal_to_a_parked_run_survives(trap: str, node: NodeWorld) -> None:
    prefix = f"calmparked{TRAPS.index(trap)}x"
    customer = Customer(node, 1, prefix)
    order = f"{prefix}-1"
    await node.start()
    run_id = await customer.start("gate", order, count=1)
    await state_of(node, run_id, "waiting")
    await node.kill()
    await node.start(f"{trap}:1")
    # Not even its sender tries again: what was committed has to come through by itself.
    door = await node.door()
    try:
        await door.signal(run_id, "go", 0, f"go:{order}")
    except Unknown:
        customer.log.append(Asked("signal", f"go:{order}", "unknown", order, run_id=run_id))
    else:
        customer.log.append(Asked("signal", f"go:{order}", "acknowledged", order, run_id=run_id))
    await node.death()
    await node.start()
    await until_closed(node)
    must_hold(await gather(node, customer, prefix), node, "pytest tests/crash/test_parked.py")

"""Fork and reset over HTTP."""

from __future__ import annotations

import pytest

from rco.errors import Conflict, Forbidden, NotFound
from rco.model.wire import ForkRun


async def test_a_failed_run_goes_on_from_the_step_that_failed(served) -> None:
    started = await served.operator.start("fail")
    await served.viewer.wait(started.id, timeout_s=10)
    first = await served.operator.fork(started.id, ForkRun(key="again", reason="try"))
    second = await served.operator.fork(started.id, ForkRun(key="again"))
    assert (first.created, second.created) == (True, False)
    assert first.id == second.id
    await served.viewer.wait(first.id, timeout_s=10)
    old, new = await served.viewer.run(started.id), await served.viewer.run(first.id)
    assert (old.forks, old.forked_from) == ([first.id], None)
    assert new.forked_from is not None
    assert (new.forked_from.run_id, new.forked_from.step, new.forked_from.copied) == (started.id, "bad", 1)


async def test_a_reset_closes_the_old_run_and_says_so_in_both(served) -> None:
    started = await served.operator.start("ask")
    while len((await served.viewer.run(started.id)).timeline) < 2:
        pass
    with pytest.raises(NotFound, match="signal answer"):
        await served.operator.reset(started.id, ForkRun(step="nothing"))
    new = await served.operator.reset(started.id, ForkRun(step="signal answer", reason="wrong form"))
    again = await served.operator.reset(started.id, ForkRun(step="signal answer"))
    assert (new.created, again.created, again.id) == (True, False, new.id)
    old = await served.viewer.run(started.id)
    assert (old.state, old.forks) == ("terminated", [new.id])
    assert old.error is not None
    assert old.error["message"] == "reset to step signal answer"
    await served.operator.signal(new.id, "answer", 7)
    assert (await served.viewer.wait(new.id, timeout_s=10)).result == 7
    told = await served.decisions()
    facts = {(one["verb"], one.get("run", "")): one.get("facts", {}) for one in told}
    assert facts["start", new.id]["forked_from"] == started.id
    assert facts["fork", started.id]["fork"] == new.id
    assert facts["reset", started.id]["step"] == "signal answer"


async def test_who_may_and_what_may(served) -> None:
    started = await served.operator.start("greet", 1)
    await served.viewer.wait(started.id, timeout_s=10)
    for steer in (served.viewer.fork, served.viewer.reset):
        with pytest.raises(Forbidden):
            await steer(started.id, ForkRun(step="say"))
    with pytest.raises(Conflict, match="did not fail"):
        await served.operator.fork(started.id, ForkRun())
    with pytest.raises(NotFound):
        await served.operator.fork("01980000-0000-7000-8000-000000000000", ForkRun())

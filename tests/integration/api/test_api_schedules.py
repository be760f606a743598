"""/v1/schedules as a client meets it."""

from __future__ import annotations

import json

import pytest

from rco.errors import Conflict, NotFound, Refused
from rco.model.schedule import ScheduleSpec

HOURLY = ScheduleSpec(workflow="greet", input="x", cron=["0 * * * *"], zone="Europe/Berlin")


async def test_a_schedule_is_made_shown_listed_replaced_and_deleted(served) -> None:
    schedules = served.operator.schedules
    made = await schedules.create("site/map", HOURLY, note="for the editors")
    assert (made.name, made.status, made.when, made.origin) == ("site/map", "active", "0 * * * *", "api")
    assert made.next_at is not None
    assert await schedules.show("site/map") == made
    with pytest.raises(Conflict):
        await schedules.create("site/map", HOURLY)
    other = await schedules.replace("site/map", ScheduleSpec(workflow="greet", every_s=60))
    assert (other.spec.every_s, other.spec.cron, other.revision > made.revision) == (60, [], True)
    for number in range(3):
        await schedules.create(f"s{number}", HOURLY)
    first = await schedules.list(limit=2)
    assert [one.name for one in first.items] == ["s0", "s1"]
    assert first.next == "s1"
    assert [one.name for one in (await schedules.list(after=first.next, limit=2)).items] == ["s2", "site/map"]
    await schedules.delete("site/map")
    with pytest.raises(NotFound):
        await schedules.show("site/map")


async def test_the_next_times_are_told_before_and_after_it_is_made(served) -> None:
    after = "2027-03-27T23:30:00Z"
    seen = await served.viewer.schedules.preview(HOURLY, count=4, after=after)
    assert [one.local for one in seen.items] == [
        "2027-03-28T01:00:00+01:00",
        "2027-03-28T03:00:00+02:00",
        "2027-03-28T04:00:00+02:00",
        "2027-03-28T05:00:00+02:00",
    ]
    await served.operator.schedules.create("s", HOURLY)
    assert await served.viewer.schedules.next("s", count=4, after=after) == seen


async def test_it_is_paused_triggered_and_resumed(served) -> None:
    schedules = served.operator.schedules
    await schedules.create("s", HOURLY)
    paused = await schedules.pause("s", "the site is moved")
    assert (paused.status, paused.note, paused.next_at) == ("paused", "the site is moved", None)
    triggered = await schedules.trigger("s")

    async def opened() -> bool:
        return any(one.id == triggered.run_id for one in (await served.viewer.runs()).items)

    while not await opened():
        pass
    assert (await served.viewer.wait(triggered.run_id)).result == {"hello": "x"}
    assert (await schedules.resume("s")).status == "active"
    back = await schedules.backfill("s", "2026-01-01T00:30:00Z", "2026-01-01T01:00:00Z")
    assert back.name == "s"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"workflow": "greet"}, "names no time"),
        ({"workflow": "greet", "cron": ["61 * * * *"]}, "minute"),
        ({"workflow": "greet", "cron": ["0 0 30 2 *"]}, "no time to come"),
        ({"workflow": "greet", "every_s": 5, "zone": "Mars/Olympus"}, "not a time zone"),
        ({"workflow": "greet", "every_s": 0.1}, ">= 1"),
        ({"workflow": "greet", "every_s": 5, "overlap": "maybe"}, "overlap"),
        ({"workflow": "greet", "every_s": 5, "colour": "red"}, "colour"),
        ({"workflow": "greet", "every_s": 5, "exclude": ["easter"]}, "neither a date"),
        ({"workflow": "greet", "every_s": 5, "input": [1], "tick_field": "at"}, "an input that is an object"),
        ({"workflow": "greet", "cron": ["* * * * *"] * 17}, "17 cron expressions"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_its_reason(served, spec, says) -> None:
    status, _, body = await served.call("POST", "/v1/schedules", json={"name": "s", "spec": spec})
    assert (status, json.loads(body)["reason"]) == (400, "MALFORMED")
    assert says in json.loads(body)["error"]


async def test_unknown_workflows_and_names_are_told(served) -> None:
    with pytest.raises(NotFound, match="no workflow"):
        await served.operator.schedules.create("s", ScheduleSpec(workflow="nobody", every_s=60))
    for name in ("", "a b", "x" * 101, "-dash"):
        with pytest.raises((Refused, NotFound)):
            await served.operator.schedules.create(name, HOURLY)

"""Events and dead letters over HTTP: list, show, replay."""

from __future__ import annotations

import asyncio

import pytest

from rco.errors import Conflict, Forbidden, NotFound, Refused
from rco.model.wire_events import DismissAsk, LetterView

EVENT = "shop/1 ?%2F#\u00e9"
"""An id that holds everything that a path must not mistake for something else."""


async def sold(served, event_id: str = EVENT) -> None:
    started = await served.operator.start("sell", event_id)
    assert (await served.viewer.wait(started.id, timeout_s=10)).state == "completed"


async def orders(served, count: int) -> list[str]:
    """The results of ``count`` runs of ``order``, once they have closed."""
    runs = (await served.viewer.runs(workflow="order")).items
    assert len(runs) == count
    return [(await served.viewer.wait(run.id, timeout_s=10)).result for run in runs]


async def test_an_event_is_listed_shown_and_replayed_as_it_was(served) -> None:
    await sold(served)
    page = await served.viewer.events(type="order.created")
    assert [(one.id, one.subject, one.type) for one in page.items] == [(EVENT, "s", "order.created")]
    assert (await served.viewer.events(type="order")).items == []
    assert (await served.operator.event(EVENT)).data == {"n": 1}
    assert await orders(served, 1) == [EVENT]


async def test_events_page_without_a_gap(served) -> None:
    for number in range(5):
        await sold(served, f"e{number}")
    seen: list[str] = []
    after = None
    while True:
        page = await served.viewer.events(limit=2, after=after)
        seen += [event.id for event in page.items]
        after = page.next
        if after is None:
            break
    assert seen == [f"e{number}" for number in range(4, -1, -1)]


async def test_what_a_subscription_could_not_take_is_a_letter_with_its_cause(served) -> None:
    await sold(served)
    letters = (await served.viewer.letters()).items
    assert [(letter.subscription, letter.event.id) for letter in letters] == [("odd", EVENT)]
    assert letters[0].cause
    assert letters[0].replayed_at is None
    shown = await served.operator.letter(letters[0].id)
    assert (shown.cause, shown.event.id, shown.event.data is not None) == (letters[0].cause, EVENT, True)
    with pytest.raises(Forbidden):
        await served.viewer.letter(letters[0].id)
    with pytest.raises(NotFound, match="no dead letter"):
        await served.operator.letter("01980000-0000-7000-8000-000000000000")
    page = await served.viewer.letters(limit=1)
    assert (len(page.items), page.next) == (1, None)
    assert (await served.viewer.letters(after=letters[0].id)).items == []
    # Its cause is still there, so it stays a letter.
    with pytest.raises(Conflict, match="still not deliverable"):
        await served.operator.replay_letter(letters[0].id)
    assert len((await served.viewer.letters()).items) == 1
    assert (await served.viewer.letters(replayed=True)).items == []
    with pytest.raises(Forbidden):
        await served.viewer.replay_letter(letters[0].id)


async def test_a_letter_whose_cause_is_cured_is_replayed_once(served) -> None:
    await sold(served)
    letter = (await served.viewer.letters()).items[0]
    service = served.service
    from msgspec.structs import replace

    cured = replace(service.settings.subscriptions[0], where=None)
    await service.reload(replace(service.settings, subscriptions=[cured]))
    assert (await served.operator.replay_letter(letter.id)).opened == 1
    runs = (await served.viewer.runs(workflow="greet")).items
    assert len(runs) == 1
    with pytest.raises(Conflict, match="already replayed"):
        await served.operator.replay_letter(letter.id)
    assert [one.id for one in (await served.viewer.letters(replayed=True)).items] == [letter.id]
    # And an event can be given to all of its subscriptions again.
    assert (await served.operator.replay_event(EVENT)).opened == 2
    assert await orders(served, 2) == [EVENT, EVENT]


async def test_a_letter_that_nobody_will_take_is_dismissed_once(served) -> None:
    await sold(served)
    letter = (await served.viewer.letters()).items[0]
    with pytest.raises(Forbidden):
        await served.viewer.dismiss_letter(letter.id, DismissAsk(reason="no more"))
    both = await asyncio.gather(
        *(served.operator.dismiss_letter(letter.id, DismissAsk(reason=f"no {n}")) for n in range(2)),
        return_exceptions=True,
    )
    dismissed = [one for one in both if isinstance(one, LetterView)]
    assert len(dismissed) == 1
    assert dismissed[0].replayed_at is not None
    assert [type(one) for one in both if one is not dismissed[0]] == [Conflict]
    assert (await served.viewer.letters()).items == []
    assert [one.id for one in (await served.viewer.letters(replayed=True)).items] == [letter.id]
    with pytest.raises(Conflict, match="already replayed or dismissed"):
        await served.operator.replay_letter(letter.id)
    told = await served.decisions()
    found = [one for one in told if one["verb"] == "dismiss"]
    assert [(one["subject"], one["event"], one["facts"]["letter"]) for one in found] == [
        (letter.subscription, EVENT, letter.id)
    ]
    assert found[0]["reason"].startswith("no ")


@pytest.mark.parametrize("cursor", ["", "1", "1-", "-1", "a-1", "1-2-3", "1-" + "9" * 19, "٣-1"])
async def test_what_never_was_the_next_of_a_page_is_refused(served, cursor: str) -> None:
    with pytest.raises(Refused, match="not the next of a page"):
        await served.viewer.events(after=cursor)

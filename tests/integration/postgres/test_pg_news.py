"""What one node changes, the others are told of: at once where LISTEN works, by one slow look where it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.integration.postgres.conftest import SHORT, Node

from rco.kit.lookout import Lookout
from rco.model.endpoint import Endpoint
from rco.model.namespace import NamespaceRow
from rco.model.schedule import Schedule, ScheduleSpec, ScheduleState
from rco.scheduler.body import row_of
from rco.store.contract.limit_states import CLOSED, LimitState
from rco.store.contract.news import Topic
from rco.store.contract.schedules import ScheduleWrite

NEVER = msgspec.structs.replace(SHORT, poll_s=3600.0)
"""Nothing is found by looking."""


class Ear:
    """Hears one node's news."""

    def __init__(self, node: Node) -> None:
        self.heard: dict[Topic, asyncio.Event] = {topic: asyncio.Event() for topic in Topic}
        self.promised = [node.keeper.on_news(topic, event.set) for topic, event in self.heard.items()]

    async def fresh(self, node: Node) -> None:
        """Forget what was told of the beginning."""
        await node.keeper._mail._find()
        for event in self.heard.values():
            event.clear()


async def change(node: Node, topic: Topic) -> None:
    reader, now_us = node.reader, node.clock.now_us()
    if topic is Topic.ENDPOINTS:
        endpoint = Endpoint(
            endpoint_id=node.ids.ulid(),
            namespace="default",
            url="https://x.test",
            types=("*",),
            since_us=now_us,
            created_us=now_us,
        )
        assert await reader.swap_endpoint(endpoint)
    elif topic is Topic.NAMESPACES:
        assert await reader.put_namespace(NamespaceRow(name="shop", created_us=now_us), None)
    elif topic is Topic.CLOSED:
        assert (await reader.swap_limits([LimitState(CLOSED, "target:x|switch", 1, b"{}")])).states
    else:
        schedule = Schedule(
            schedule_id=node.ids.uuid7(7),
            name="s",
            namespace="default",
            spec=ScheduleSpec(workflow="w", input=None, every_s=60),
            state=ScheduleState(decided_us=now_us),
            revision=1,
            origin="api",
            created_us=now_us,
            updated_us=now_us,
            due_us=0,
        )
        await node.admit(7, schedules=[ScheduleWrite(row=row_of(schedule, "r"), expect=None)])


@pytest.mark.parametrize("topic", [Topic.ENDPOINTS, Topic.NAMESPACES, Topic.CLOSED])
async def test_a_change_is_told_at_once_without_looking(make_node: Any, topic: Topic) -> None:
    one, two = make_node("a", NEVER), make_node("b", NEVER)
    await one.keeper.start()
    await two.keeper.start()
    ear = Ear(two)
    assert all(ear.promised)
    await ear.fresh(two)
    # Shards that come make it look: what that finds is not what is asked here.
    two.keeper._mail._compare = lambda _: None
    await change(one, topic)
    await ear.heard[topic].wait()


@pytest.mark.parametrize("topic", list(Topic))
async def test_where_no_word_gets_through_it_is_found_by_looking(make_node: Any, topic: Topic) -> None:
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    await two.keeper.start()
    one.reader.changed = lambda _: None
    ear = Ear(two)
    await ear.fresh(two)
    await change(one, topic)
    await ear.heard[topic].wait()


async def test_what_was_said_while_the_line_was_broken_is_found_when_it_is_back(make_node: Any) -> None:
    one, two = make_node("a", NEVER), make_node("b", NEVER)
    await one.keeper.start()
    await two.keeper.start()
    ear = Ear(two)
    await ear.fresh(two)
    mail: Any = two.keeper._mail
    pid = mail._line._connection.get_server_pid()
    one.reader.changed = lambda _: None
    await change(one, Topic.NAMESPACES)
    await one.reader._ask("SELECT pg_terminate_backend($1)", pid)
    await ear.heard[Topic.NAMESPACES].wait()
    # And it listens again.
    await ear.fresh(two)
    one.reader.changed = one.keeper._mail.changed
    await change(one, Topic.ENDPOINTS)
    await ear.heard[Topic.ENDPOINTS].wait()


async def test_behind_a_pooler_nothing_is_promised(make_node: Any) -> None:
    node = make_node("a", msgspec.structs.replace(SHORT, pooler=True))
    await node.keeper.start()
    assert not any(Ear(node).promised)


async def test_a_lookout_that_is_told_looks_when_it_is_told(make_node: Any) -> None:
    one, two = make_node("a", NEVER), make_node("b", NEVER)
    await one.keeper.start()
    await two.keeper.start()
    seen: list[int] = []
    grown = asyncio.Event()

    async def look() -> None:
        seen.append(len(await two.reader.namespaces()))
        if seen[-1] > 1:
            grown.set()

    lookout = Lookout(
        look, beat_s=3600.0, trouble=lambda _: None, hear=lambda told: two.keeper.on_news(Topic.NAMESPACES, told)
    )
    await lookout.start()
    await change(one, Topic.NAMESPACES)
    await grown.wait()
    await lookout.stop()
    assert seen[0] == 1

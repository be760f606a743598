"""With capabilities enforced an event is sent to a broker only where a rule says so; what is not is a dead letter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.capability.conftest import Governed
from tests.integration.relay.test_relay import Reader
from tests.integration.relay.test_relay import prefix as prefix  # noqa: PLC0414 - a fixture
from tests.integration.service.conftest import Downstream
from tests.servers.brokers import SERVERS, Server

from rco.config.settings import Settings
from rco.errors import Conflict
from rco.model.grant_rule import GrantRule
from rco.model.subscription import Publish, Subscription

pytestmark = pytest.mark.timeout(300)
IN = GrantRule(to=["provider:shop"], scopes=["webhook:accept:shop"])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = SERVERS["nats"]()
    try:
        yield server
    finally:
        server.stop()


class Granted(Governed):
    """A governed service with two subscriptions that publish."""

    def __init__(self, folder: Path, downstream: Downstream, server: Server, prefix: str) -> None:
        super().__init__(folder, downstream)
        self.server, self.topic, self.other = server, f"out.{prefix}.v1", f"other.{prefix}.v1"
        self.rules = [IN]

    def settings(self, **more: Any) -> Settings:
        settings = super().settings(brokers={"events": self.server.settings(timeout_s=5.0)}, **more)
        subscriptions = [
            Subscription(name="out", type="sale.made", publish=Publish(broker="events", topic=self.topic)),
            Subscription(name="other", type="sale.made", publish=Publish(broker="events", topic=self.other)),
            Subscription(name="emitted", type="made.here", publish=Publish(broker="events", topic=self.topic)),
        ]
        return msgspec.structs.replace(settings, subscriptions=subscriptions)

    async def grants(self, *rules: GrantRule) -> None:
        self.rules = [IN, *rules]
        await self.service.reload(self.settings())

    async def told(self, verb: str) -> list[dict[str, Any]]:
        return [one for one in await self.decisions() if one["verb"] == verb]


@pytest.fixture
async def granted(tmp_path: Path, server: Server, prefix: str) -> AsyncIterator[Granted]:
    downstream = Downstream()
    await downstream.start()
    granted = Granted(tmp_path, downstream, server, prefix)
    await granted.start()
    yield granted
    await granted.stop()
    await downstream.stop()


async def test_what_no_rule_grants_is_refused_recorded_and_kept_until_one_does(
    granted: Granted, server: Server, prefix: str
) -> None:
    assert (await granted.send(f"{prefix}-1", "sale.made", {"order": 1}))[0] == 202
    letters = {one.subscription: one for one in (await granted.client.letters()).items}
    assert letters.keys() == {"out", "other"}
    assert f"no rule grants publish:events:{granted.topic} to provider:shop" in letters["out"].cause
    refused = {one["subject"]: one for one in await granted.told("refuse")}
    assert refused.keys() == {"out", "other"}
    for name, topic in (("out", granted.topic), ("other", granted.other)):
        one = refused[name]
        assert (one["allow"], one["reason"], one["event"]) == (False, "publish_not_granted", f"{prefix}-1")
        assert (one["facts"]["broker"], one["facts"]["topic"]) == ("events", topic)
    assert await granted.told("publish") == []

    await granted.grants(GrantRule(to=["provider:shop"], scopes=[f"publish:events:{granted.topic}"]))
    await granted.client.replay_letter(letters["out"].id)
    with pytest.raises(Conflict, match="no rule grants publish"):
        await granted.client.replay_letter(letters["other"].id)
    assert [one["subject"] for one in await granted.told("publish")] == ["out"]
    async with Reader(server, f"reader-{prefix}") as reader:
        seen = await reader.until(granted.topic, lambda seen: len(seen) >= 1, "sale.made")
    assert {one["id"] for one in seen.values()} == {f"{prefix}-1"}
    # What is still not granted stays a letter.
    assert [one.subscription for one in (await granted.client.letters()).items] == ["other"]


@pytest.mark.parametrize(
    ("scope", "subscription", "sent"),
    [
        ("publish:events", "*", {"out", "other"}),
        ("publish:*", "*", {"out", "other"}),
        ("publish:events:out.*", "*", {"out"}),
        ("publish:events", "oth*", {"other"}),
        ("publish:event", "*", set()),
        ("publish:events:out", "*", set()),
        ("call:*", "*", set()),
    ],
)
async def test_a_rule_grants_what_it_says_and_no_more(
    granted: Granted, prefix: str, scope: str, subscription: str, sent: set[str]
) -> None:
    await granted.grants(GrantRule(to=["provider:shop"], subscription=subscription, scopes=[scope]))
    assert (await granted.send(f"{prefix}-1", "sale.made", {"order": 1}))[0] == 202
    assert {one["subject"] for one in await granted.told("publish")} == sent
    assert {one.subscription for one in (await granted.client.letters()).items} == {"out", "other"} - sent


async def test_what_a_run_emits_is_granted_to_the_run_and_not_to_who_started_it(granted: Granted, prefix: str) -> None:
    await granted.grants(GrantRule(to=["role:admin", "provider:*"], scopes=["publish:*"]))
    await granted.end((await granted.client.start("emits", {})).id)
    assert [one["reason"] for one in await granted.told("refuse")] == ["publish_not_granted"]
    await granted.grants(GrantRule(to=["run:emits"], scopes=["publish:events"]))
    await granted.end((await granted.client.start("emits", {})).id)
    assert [one["subject"] for one in await granted.told("publish")] == ["emitted"]


async def test_without_enforcement_everything_that_matches_is_sent(granted: Granted, prefix: str) -> None:
    await granted.stop()
    granted.enforce = False
    await granted.start()
    assert (await granted.send(f"{prefix}-1", "sale.made", {"order": 1}))[0] == 202
    assert {one["subject"] for one in await granted.told("publish")} == {"out", "other"}

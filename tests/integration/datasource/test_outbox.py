"""Outboxes: what an application's transaction commits to one happens once, in order; what it rolls back never does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.integration.datasource.conftest import Shop
from tests.servers.postgres import PostgresServer

from rco.app import Service, build
from rco.capability.keyfile import rotate
from rco.config import load
from rco.datasource.outbox import OutboxReader
from rco.datasource.schema import outbox
from rco.errors import Reason, Refused
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.run import Mode, Outcome
from rco.store.contract.reader import RunFilter

APP = """
from rco.workflow import Context, workflow

@workflow
async def order(ctx: Context, given: dict) -> dict:
    return given

@workflow
async def gate(ctx: Context, given: dict) -> list:
    return [await ctx.signal("go") for _ in range(given["count"])]

@workflow(on="paid")
async def paid(ctx: Context, event: dict) -> str:
    return event["data"]["order"]
"""
CONFIG = """
app: {app}
data_dir: {data}
server: {{bind_addr: "127.0.0.1:0", metrics_addr: "127.0.0.1:0", drain_timeout: 1s}}
databases: {{shop: {{dsn: "env:SHOP_DSN"}}}}
outboxes: {{shop: {{database: shop, poll: {poll}, {more}}}}}
"""


class World:
    """Services over one outbox. ``store``: where they keep their state; empty: a file of each."""

    def __init__(self, folder: Path, shop: Shop, store: str = "") -> None:
        self.folder, self.shop, self.store = folder, shop, store
        (folder / "app.py").write_text(APP)
        self.services: list[Service] = []
        self.poll, self.more, self.extra = "200ms", "batch: 20", ""

    async def start(self, name: str = "one") -> Service:
        config = self.folder / f"{name}.yaml"
        text = CONFIG.format(
            app=json.dumps(str(self.folder / "app.py")),
            data=json.dumps(str(self.folder / name)),
            poll=self.poll,
            more=self.more,
        )
        store = f"store: {{path: {json.dumps(self.store)}, node: {name}}}\n" if self.store else ""
        config.write_text(text + store + self.extra)
        environ = {"SHOP_DSN": self.shop.dsn}
        service = await build(load(config, environ, {}).settings, environ=environ, migrating=not self.store)
        await service.start()
        self.services.append(service)
        return service

    async def stop(self) -> None:
        while self.services:
            await self.services.pop().stop()

    async def runs(self, **where: Any) -> list[Any]:
        return await self.services[0]._desk.reader.runs(RunFilter(limit=10_000, **where))

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while True:
                answer = condition()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return
                await asyncio.sleep(0.02)

    async def emptied(self) -> None:
        """Wait until nothing waits in the outbox, and no run is open."""
        await self.until(lambda: self.shop.count("rco_outbox.entry") == 0)
        await self.until(self._closed)

    async def _closed(self) -> bool:
        return not sum((await self.services[0]._desk.reader.count_open()).values())

    def letters(self) -> list[Any]:
        return self.shop.query("SELECT * FROM rco_outbox.dead_letter ORDER BY at")


@pytest.fixture
def boxed(shop: Shop) -> Shop:
    shop._server.run_script(shop.name, outbox())
    return shop


@pytest.fixture
async def world(tmp_path: Path, boxed: Shop) -> AsyncIterator[World]:
    made = World(tmp_path, boxed)
    yield made
    await made.stop()


@pytest.fixture
def store(postgres_dsn: str) -> str:
    return postgres_dsn


def result(row: Any) -> Any:
    return msgspec.json.decode(row.detail)["result"]


async def test_what_is_committed_starts_and_what_is_rolled_back_does_not(world: World) -> None:
    await world.start()
    connection = await asyncpg.connect(world.shop.dsn)
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO paid VALUES ('o-1', 1)")
            await connection.execute("""SELECT rco_outbox.start('order', '{"order": "o-1"}', key => 'o-1')""")
        rolled_back = connection.transaction()
        await rolled_back.start()
        await connection.execute("""SELECT rco_outbox.start('order', '{"order": "o-2"}', key => 'o-2')""")
        await rolled_back.rollback()
        await connection.execute("""SELECT rco_outbox.start('order', '{"order": "o-1"}', key => 'o-1')""")
    finally:
        await connection.close()
    await world.emptied()
    (row,) = await world.runs()
    assert (row.key, row.outcome, result(row)) == ("o-1", Outcome.COMPLETED, {"order": "o-1"})


async def test_a_long_transaction_hides_its_entry_until_it_commits(world: World) -> None:
    await world.start()
    connection = await asyncpg.connect(world.shop.dsn)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT rco_outbox.start('order', '1', key => 'early')")
        world.shop.query("SELECT rco_outbox.start('order', '2', key => 'late')")
        await world.until(lambda: world.shop.count("rco_outbox.entry") == 0)
        assert [row.key for row in await world.runs()] == ["late"]
        await transaction.commit()
    finally:
        await connection.close()
    await world.emptied()
    assert {row.key for row in await world.runs()} == {"late", "early"}


async def test_signals_keep_their_order_and_are_taken_once(world: World) -> None:
    world.shop.query("""SELECT rco_outbox.start('gate', '{"count": 50}', key => 'g')""")
    world.shop.query(
        "SELECT rco_outbox.signal('go', to_jsonb(i), key => 'g', message_id => 'm' || i)"
        " FROM generate_series(1, 49) AS i"
    )
    world.shop.query("SELECT rco_outbox.signal('go', '49', key => 'g', message_id => 'm49')")
    world.shop.query("SELECT rco_outbox.signal('go', '50', key => 'g')")
    await world.start()
    await world.emptied()
    (row,) = await world.runs()
    assert result(row) == list(range(1, 51))
    assert not world.letters()


async def test_events_start_who_subscribes_once(world: World) -> None:
    await world.start()
    for _ in range(2):
        world.shop.query("""SELECT rco_outbox.emit('paid', '{"order": "o-1"}', subject => 'o-1', event_id => 'e-1')""")
    await world.emptied()
    assert [result(row) for row in await world.runs()] == ["o-1"]


PAST_THE_FUNCTION = """
INSERT INTO rco_outbox.entry (lane, ordering, kind, name, body)
VALUES (0, 'x', 'start', 'order', to_jsonb(repeat('x', 2000000)))
"""
HOSTILE = [
    ("SELECT rco_outbox.start('nobody', '1')", "no workflow"),
    ("SELECT rco_outbox.start('rco.bulk', '1')", "is not one of outbox"),
    ("SELECT rco_outbox.start('order', '1e400')", ""),
    ("SELECT rco_outbox.start('order', (repeat('[', 5000) || repeat(']', 5000))::jsonb)", "malformed"),
    ("SELECT rco_outbox.start('order', '123456789012345678901234567890')", ""),
    ("SELECT rco_outbox.signal('go', '1', key => 'nobody')", "no run"),
    ("SELECT rco_outbox.signal('go', '1', run_id => gen_random_uuid())", "no run"),
    (PAST_THE_FUNCTION, "too_large"),
]


async def test_hostile_entries_become_dead_letters_and_hold_nobody_up(world: World) -> None:
    for sql, _ in HOSTILE:
        world.shop.query(sql)
    world.shop.query("SELECT rco_outbox.start('order', '1', key => 'good')")
    await world.start()
    await world.emptied()
    assert "good" in {row.key for row in await world.runs()}
    causes = [row["cause"] for row in world.letters()]
    for sql, cause in HOSTILE:
        if cause:
            assert any(cause in one for one in causes), (sql, causes)
    assert len(causes) + len(await world.runs()) == len(HOSTILE) + 1


async def test_the_same_key_with_another_input_is_refused(world: World) -> None:
    await world.start()
    world.shop.query("SELECT rco_outbox.start('order', '1', key => 'k')")
    world.shop.query("SELECT rco_outbox.start('order', '2', key => 'k')")
    await world.emptied()
    assert len(await world.runs()) == 1
    assert [row["cause"].partition(":")[0] for row in world.letters()] == ["conflict"]


async def test_only_the_workflows_of_the_outbox(world: World) -> None:
    world.more = "workflows: [gate]"
    await world.start()
    world.shop.query("SELECT rco_outbox.start('order', '1')")
    world.shop.query("""SELECT rco_outbox.start('gate', '{"count": 0}')""")
    await world.emptied()
    assert [row.workflow for row in await world.runs()] == ["gate"]
    assert [row["cause"].partition(":")[0] for row in world.letters()] == ["forbidden"]


@pytest.mark.parametrize("granted", [True, False])
async def test_where_capabilities_are_enforced_a_rule_must_allow_it(world: World, granted: bool) -> None:
    rule = "grants: [{to: ['outbox:shop'], scopes: ['run:start:order']}]\n" if granted else ""
    world.extra = "capability: {enforce: true}\n" + rule
    clock = SystemClock()
    (world.folder / "one").mkdir(mode=0o700)
    rotate(world.folder / "one" / "keyring.json", ids=Ids(clock), now_us=clock.now_us(), lead_s=0, overlap_s=3600)
    await world.start()
    world.shop.query("SELECT rco_outbox.start('order', '1')")
    await world.emptied()
    assert (len(await world.runs()), len(world.letters())) == ((1, 0) if granted else (0, 1))


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT rco_outbox.start('order', to_jsonb(repeat('x', 2000000)))", "the limit is"),
        ("SELECT rco_outbox.start('')", "characters"),
        ("SELECT rco_outbox.start(NULL)", "characters"),
        ("SELECT rco_outbox.start('order', key => repeat('k', 401))", "at most 400"),
        ("SELECT rco_outbox.signal('go')", "one of them"),
        ("SELECT rco_outbox.signal('go', key => 'k', run_id => gen_random_uuid())", "one of them"),
    ],
)
async def test_what_can_be_seen_to_be_wrong_fails_in_the_transaction(boxed: Shop, sql: str, said: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match=said):
        boxed.query(sql)
    assert boxed.count("rco_outbox.entry") == 0


@pytest.fixture
def roles(postgres_server: PostgresServer, boxed: Shop) -> Iterator[None]:
    postgres_server.run_script(boxed.name, "CREATE ROLE shop_app LOGIN; CREATE ROLE shop_rco LOGIN;")
    postgres_server.run_script(boxed.name, outbox(["shop_app"], ["shop_rco"]))
    yield
    postgres_server.run_script(
        boxed.name, "DROP OWNED BY shop_app; DROP OWNED BY shop_rco; DROP ROLE shop_app; DROP ROLE shop_rco;"
    )


@pytest.mark.usefixtures("roles")
async def test_an_application_may_call_and_see_nothing_and_a_node_reads(tmp_path: Path, boxed: Shop) -> None:
    app = boxed.dsn.replace("rco@", "shop_app@")
    connection = await asyncpg.connect(app)
    try:
        await connection.execute("SELECT rco_outbox.start('order', '1', key => 'k')")
        for sql in (
            "SELECT * FROM rco_outbox.entry",
            "DELETE FROM rco_outbox.entry",
            "INSERT INTO rco_outbox.entry (lane, ordering, kind, name) VALUES (0, 'x', 'start', 'order')",
            "SELECT * FROM rco_outbox.dead_letter",
            "UPDATE rco_outbox.setting SET body_limit_bytes = 1",
            "SELECT rco_outbox.put('start', 'order', NULL, NULL, NULL, NULL, NULL, NULL)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(sql)
    finally:
        await connection.close()
    assert boxed.query("SELECT by_role::text FROM rco_outbox.entry")[0][0] == "shop_app"
    world = World(tmp_path, boxed)
    boxed.dsn = boxed.dsn.replace("rco@", "shop_rco@")
    try:
        await world.start()
        await world.emptied()
        assert [row.key for row in await world.runs()] == ["k"]
    finally:
        await world.stop()


async def test_a_notification_wakes_and_without_one_the_slow_look_does(world: World) -> None:
    world.poll = "60s"
    await world.start()
    await world.until(lambda: world.shop.query("SELECT waiting FROM rco_outbox.doorbell")[0][0])
    await world.until(
        lambda: world.shop.query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")[0][0]
    )
    world.shop.query("SELECT rco_outbox.start('order', '1')")
    await world.emptied()

    await world.stop()
    world.poll, world.more = "100ms", "listen: false"
    await world.start()
    world.shop.query("SELECT rco_outbox.start('order', '2')")
    await world.emptied()
    assert len(await world.runs()) == 2


async def test_nodes_side_by_side_keep_order_and_take_each_once(tmp_path: Path, boxed: Shop, store: str) -> None:
    world = World(tmp_path, boxed, store)
    try:
        for line in range(6):
            boxed.query(f"""SELECT rco_outbox.start('gate', '{{"count": 30}}', key => 'g{line}')""")
        for index in range(30):
            boxed.query(f"SELECT rco_outbox.signal('go', '{index}', key => 'g' || l) FROM generate_series(0, 5) AS l")
        for name in ("one", "two", "three"):
            await world.start(name)
        await world.emptied()
        rows = await world.runs()
        assert [result(row) for row in rows] == [list(range(30))] * 6
        assert not world.letters()
    finally:
        await world.stop()


async def test_an_inbox_that_is_full_puts_its_line_off_and_nobody_elses(world: World) -> None:
    world.extra = "engine: {inbox_limit: 5}\n"
    service = await world.start()
    world.shop.query("""SELECT rco_outbox.start('gate', '{"count": 8}', key => 'g')""")
    await world.until(lambda: world.shop.count("rco_outbox.entry") == 0)
    (row,) = await world.runs()
    live = service._desk.engine._owner.live[row.run_id]
    held, live.inbox = live.inbox, [None] * 5  # type: ignore[list-item]
    world.shop.query("SELECT rco_outbox.signal('go', to_jsonb(i), key => 'g') FROM generate_series(1, 8) AS i")
    world.shop.query("SELECT rco_outbox.start('order', '1', key => 'other')")
    await world.until(lambda: world.shop.query("SELECT 1 FROM rco_outbox.entry WHERE tries > 0"))
    await world.until(lambda: world.shop.count("rco_outbox.entry") == 8)
    live.inbox = held
    await world.emptied()
    assert result(next(row for row in await world.runs() if row.key == "g")) == list(range(1, 9))


@pytest.mark.parametrize("reason", [Reason.RATE_LIMIT, Reason.POLICY_BLOCKED])
async def test_entries_wait_while_a_quota_has_no_room(
    world: World, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    service = await world.start()
    engine = service._desk.engine
    start_run, asked = engine.start_run, list[str]()

    async def full(ask: Any) -> Any:
        asked.append(ask.key)
        if len(asked) < 3:
            raise Refused(reason, "quota", "the quota has no room.")
        return await start_run(ask)

    monkeypatch.setattr(engine, "start_run", full)
    world.shop.query("SELECT rco_outbox.start('order', '1', key => 'k')")
    await world.emptied()
    assert asked == ["k"] * 3
    assert [row.key for row in await world.runs()] == ["k"]
    assert not world.letters()


async def test_a_signal_that_closed_its_run_is_no_dead_letter_when_it_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has it, the outbox was not told: once by a database that rolled the reading back."""
    take = OutboxReader._take
    failed: list[bool] = []

    async def forgets(self: Any, connection: Any, entries: Any) -> bool:
        stopped = await take(self, connection, entries)
        if not failed and any(entry.kind == "signal" for entry in entries):
            failed.append(True)
            await world.until(world._closed)
            raise ConnectionResetError("gone before the commit")
        return stopped

    monkeypatch.setattr(OutboxReader, "_take", forgets)
    await world.start()
    world.shop.query("""SELECT rco_outbox.start('gate', '{"count": 1}', key => 'g')""")
    world.shop.query("SELECT rco_outbox.signal('go', '1', key => 'g')")
    await world.emptied()
    assert failed
    assert not world.letters()
    (row,) = await world.runs(mode=Mode.CLOSED)
    assert result(row) == [1]


async def test_the_planted_bug_of_an_order_that_lanes_do_not_keep_is_found(
    tmp_path: Path, boxed: Shop, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read without the lane's lock, entries of one key overtake each other: the test of the order would see it."""
    from rco.datasource import outbox as reader

    monkeypatch.setattr(reader, "_LANE", reader._LANE.replace("FOR UPDATE OF l SKIP LOCKED", ""))
    started: list[str] = []
    line = OutboxReader._line

    async def slowly(self: Any, entries: Any, *rest: Any) -> bool:
        for entry in entries:
            started.append(entry.entry_id)
            await asyncio.sleep(0.01)
        return await line(self, entries, *rest)

    monkeypatch.setattr(OutboxReader, "_line", slowly)
    world = World(tmp_path, boxed, store)
    world.more = "batch: 3"
    try:
        boxed.query("SELECT rco_outbox.start('order', to_jsonb(i), ordering => 'k') FROM generate_series(1, 30) AS i")
        await world.start("one")
        await world.start("two")
        await world.emptied()
    finally:
        await world.stop()
    assert len(started) > len(set(started)), "every entry was handled by one reader at a time"

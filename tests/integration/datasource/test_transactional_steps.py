"""Steps that commit together with rows of the user's own database: once, whole, whatever comes between."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import asyncpg
import pytest
from tests.integration.datasource.conftest import Node, Shop

from rco.datasource import steps as datasource_steps
from rco.datasource.cleaning import Cleaner
from rco.kit.ids import Ids
from rco.model.effect import Attempt, EffectFailed
from rco.model.run import Mode, Outcome
from rco.workflow import Backoff, Context, RetryPolicy, attempt, workflow

QUICK = RetryPolicy(3, Backoff(first_s=0.01, cap_s=0.02))
seen: list[str] = []


async def pay(tx: Any, order: str, amount: int) -> dict[str, Any]:
    seen.append(order)
    await tx.execute("INSERT INTO paid VALUES ($1, $2)", order, amount)
    return {"order": order, "amount": amount}


@workflow
async def paying(ctx: Context, order: str) -> Any:
    return await ctx.transaction(pay, order, 7, database="shop", policy=QUICK)


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


async def pay_with_key(tx: Any, order: str) -> str:
    await tx.execute("INSERT INTO paid VALUES ($1, $2)", order, 7)
    return attempt().idempotency_key


async def test_rows_and_result_commit_together(node: Node, shop: Shop) -> None:
    @workflow
    async def keyed(ctx: Context, order: str) -> str:
        return await ctx.transaction(pay_with_key, order, database="shop", name="pay")

    await node.start(keyed)
    run_id = await node.open(keyed, "o-1")
    assert (await node.end(run_id)).value == Attempt(run_id, "pay", 1).idempotency_key
    assert [tuple(row) for row in shop.query("SELECT * FROM paid")] == [("o-1", 7)]
    (row,) = shop.query("SELECT step_key, attempt, result FROM rco.rco_step")
    assert (row["step_key"], row["attempt"]) == ("pay", 1)


async def test_a_function_that_raises_leaves_nothing_behind(node: Node, shop: Shop) -> None:
    async def fail(tx: Any) -> None:
        await tx.execute("INSERT INTO paid VALUES ('half', 1)")
        raise RuntimeError("out of stock")

    @workflow
    async def failing(ctx: Context, _: Any) -> None:
        await ctx.transaction(fail, database="shop", policy=QUICK)

    await node.start(failing)
    finished = await node.run(failing)
    assert finished.outcome is Outcome.FAILED
    assert "out of stock" in finished.value["message"]
    assert shop.count("paid") == shop.count("rco.rco_step") == 0


async def test_a_commit_that_the_journal_never_heard_of_is_found(node: Node, shop: Shop) -> None:
    """What a crash between the two commits leaves, made by hand; the real one is in tests/crash."""
    await node.start(paying)
    asked = Attempt(Ids().uuid7(), "pay", 1)
    first = await node.source.perform(pay, ("o-1", 7), b"fp", None, None, asked)
    again = await node.source.perform(pay, ("o-1", 7), b"fp", None, None, Attempt(asked.run_id, "pay", 2))
    assert first == again
    assert (seen, shop.count("paid"), node.counted("found")) == (["o-1"], 1, 1)


async def test_two_attempts_at_the_same_time_are_one(node: Node, shop: Shop) -> None:
    await node.start(paying)
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Any) -> str:
        await tx.execute("INSERT INTO paid VALUES ('o', 1)")
        inside.set()
        await go_on.wait()
        return "first"

    asked = Attempt(Ids().uuid7(), "pay", 1)
    zombie = asyncio.create_task(node.source.perform(slow, (), b"fp", None, None, asked))
    await inside.wait()
    second = asyncio.create_task(node.source.perform(slow, (), b"fp", "serializable", None, asked))
    await node.until(lambda: shop.query("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0])
    assert not second.done()
    go_on.set()
    assert (await zombie, await second) == ("first", "first")
    assert shop.count("paid") == 1


async def test_other_arguments_under_the_same_key_block_the_run(node: Node, shop: Shop) -> None:
    await node.start(paying)
    run_id = None

    async def spoil(tx: Any, run: str) -> None:
        del tx, run

    @workflow
    async def changed(ctx: Context, _: Any) -> None:
        await ctx.step(planted, ctx.run_id)
        await ctx.transaction(spoil, ctx.run_id, database="shop", policy=QUICK)

    def planted(run: str) -> None:
        shop.query(
            "INSERT INTO rco.rco_step VALUES ($1, 'spoil', 'older', 1, now(), '\\xc0')", uuid.UUID(run)
        )  # fmt: skip

    await node.stop()
    await node.start(changed)
    run_id = await node.open(changed)

    async def blocked() -> bool:
        row = await node.keeper.reader.run(run_id)
        return row is not None and row.mode is Mode.BLOCKED

    async with asyncio.timeout(10):
        while not await blocked():
            await asyncio.sleep(0.01)
    row = await node.keeper.reader.run(run_id)
    assert b"committed to database" in row.detail


async def test_serialization_failures_are_made_again(node: Node, shop: Shop) -> None:
    shop.query("INSERT INTO stock VALUES ('cup', 10)")

    async def take(tx: Any, index: int) -> int:
        left = await tx.fetchval("SELECT left_over FROM stock WHERE item = 'cup'")
        await asyncio.sleep(0.01)
        await tx.execute("UPDATE stock SET left_over = $1 WHERE item = 'cup'", left - 1)
        return index

    @workflow
    async def taking(ctx: Context, _: Any) -> list[int]:
        many = [
            ctx.transaction(take, index, database="shop", isolation="serializable", policy=QUICK) for index in range(6)
        ]
        return await ctx.gather(*many)

    node.set(serialization_retries=200)
    await node.start(taking)
    finished = await node.run(taking)
    assert finished.value == list(range(6))
    assert shop.query("SELECT left_over FROM stock")[0][0] == 4
    assert node.counted("rolled_back") > 0


@pytest.mark.parametrize("word", ["COMMIT", " -- x\n end", "ROLLBACK", "/* a */ Begin", "START  TRANSACTION"])
async def test_a_function_may_not_end_its_transaction(node: Node, shop: Shop, word: str) -> None:
    async def ending(tx: Any) -> None:
        await tx.execute("INSERT INTO paid VALUES ('half', 1)")
        await tx.execute(word)

    await node.start(paying)
    with pytest.raises(Exception, match="may not say"):
        await node.source.perform(ending, (), b"fp", None, None, Attempt(Ids().uuid7(), "pay", 1))
    assert shop.count("paid") == shop.count("rco.rco_step") == 0


HIDDEN = ["SELECT 1; COMMIT; INSERT INTO paid VALUES ('x', 2)", "SELECT 1; COMMIT", "SELECT 1; ROLLBACK"]


@pytest.mark.parametrize("script", HIDDEN)
async def test_nor_where_the_word_is_hidden(node: Node, shop: Shop, script: str) -> None:
    async def ending(tx: Any) -> None:
        await tx.execute("INSERT INTO paid VALUES ('half', 1)")
        await tx.execute(script)

    await node.start(paying)
    with pytest.raises(Exception, match=r"ended its transaction|ends without its result"):
        await node.source.perform(ending, (), b"fp", None, None, Attempt(Ids().uuid7(), "pay", 1))
    assert shop.query("SELECT count(*) FROM paid WHERE order_id = 'half'")[0][0] == shop.count("rco.rco_step") == 0


async def test_savepoints_are_the_functions_own(node: Node, shop: Shop) -> None:
    async def partly(tx: Any) -> str:
        await tx.execute("INSERT INTO paid VALUES ('kept', 1)")
        try:
            async with tx.savepoint():
                await tx.execute("INSERT INTO paid VALUES ('not', 1)")
                raise ValueError
        except ValueError:
            return "partly"

    await node.start(paying)
    asked = Attempt(Ids().uuid7(), "pay", 1)
    assert await node.source.perform(partly, (), b"fp", None, None, asked) == "partly"
    assert [row[0] for row in shop.query("SELECT order_id FROM paid")] == ["kept"]


async def test_a_result_that_cannot_be_kept_rolls_back(node: Node, shop: Shop) -> None:
    async def large(tx: Any) -> str:
        await tx.execute("INSERT INTO paid VALUES ('large', 1)")
        return "x" * 5000

    await node.start(paying)
    with pytest.raises(Exception, match="the limit is 4096"):
        await node.source.perform(large, (), b"fp", None, None, Attempt(Ids().uuid7(), "pay", 1))
    assert shop.count("paid") == 0


async def test_a_time_limit_rolls_back(node: Node, shop: Shop) -> None:
    async def slow(tx: Any) -> None:
        await tx.execute("INSERT INTO paid VALUES ('slow', 1)")
        await tx.execute("SELECT pg_sleep(30)")

    await node.start(paying)
    with pytest.raises(EffectFailed) as failed:
        await node.source.perform(slow, (), b"fp", None, 0.2, Attempt(Ids().uuid7(), "pay", 1))
    assert failed.value.code == "timed_out"
    assert shop.count("paid") == 0


@pytest.mark.parametrize("stands", [True, False])
async def test_an_answer_lost_at_the_commit_is_found_out(
    node: Node, shop: Shop, stands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.start(paying)
    lost: list[bool] = []
    commit = asyncpg.transaction.Transaction.commit

    async def break_off(self: Any) -> None:
        if lost:
            await commit(self)
            return
        lost.append(True)
        connection = self._connection
        if stands:
            await commit(self)
        connection.terminate()
        raise ConnectionResetError("the answer never came")

    monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", break_off)
    finished = await node.run(paying, "o-1")
    assert finished.outcome is Outcome.COMPLETED
    assert (shop.count("paid"), node.counted("unknown")) == (1, 1)
    assert len(seen) == (1 if stands else 2)


async def test_nothing_is_committed_without_the_lease(node: Node, shop: Shop) -> None:
    await node.start(paying)
    node.may_commit = lambda: False
    run_id = await node.open(paying, "o-1")
    await node.until(lambda: node.counted("away") >= 1)
    assert shop.count("paid") == 0
    node.may_commit = lambda: True
    assert (await node.end(run_id)).outcome is Outcome.COMPLETED
    assert shop.count("paid") == 1


async def test_a_database_that_is_away_is_no_failed_attempt(node: Node, shop: Shop) -> None:
    await node.start(paying)
    right, shop.dsn = shop.dsn, "postgresql://rco@127.0.0.1:1/none"
    run_id = await node.open(paying, "o-1")
    await node.until(lambda: node.counted("away") >= 2)
    shop.dsn = right
    assert (await node.end(run_id)).outcome is Outcome.COMPLETED
    assert shop.query("SELECT attempt FROM rco.rco_step")[0][0] == 1


async def test_a_database_that_was_not_prepared_says_so(node: Node, shop: Shop) -> None:
    shop.query("DROP SCHEMA rco CASCADE")
    await node.start(paying)
    finished = await node.run(paying, "o-1")
    assert "rco datasource init" in finished.value["message"]


async def test_a_database_nobody_declared_is_refused(node: Node) -> None:
    @workflow
    async def wrong(ctx: Context, _: Any) -> None:
        await ctx.transaction(pay, "o", 1, database="other")

    await node.start(wrong)
    finished = await node.run(wrong)
    assert "no database 'other' is declared" in finished.value["message"]


async def test_only_old_records_of_closed_runs_are_removed(node: Node, shop: Shop) -> None:
    @workflow
    async def waiting(ctx: Context, order: str) -> None:
        await ctx.transaction(pay, order, 1, database="shop")
        await ctx.signal("go")

    await node.start(paying, waiting)
    await node.run(paying, "closed, old")
    await node.run(paying, "closed, young")
    open_run = await node.open(waiting, "open, old")
    await node.until(lambda: shop.count("paid") == 3)
    shop.query("INSERT INTO rco.rco_step VALUES (gen_random_uuid(), 'foreign', '', 1, now(), '\\xc0')")
    young = "SELECT run_id FROM rco.rco_step WHERE step_key = 'pay' ORDER BY at OFFSET 1 LIMIT 1"
    shop.query(f"UPDATE rco.rco_step SET at = at - interval '8 days' WHERE run_id <> ({young})")
    cleaner = Cleaner(node.source, node.keeper.reader, node.keeper.ownership, node.metrics, lambda _: None)
    assert not await cleaner.clean()
    left = {(str(row[0]), row[1]) for row in shop.query("SELECT run_id, step_key FROM rco.rco_step")}
    assert len(left) == 3
    assert (str(uuid.UUID(bytes=open_run)), "pay") in left
    assert any(key == "foreign" for _, key in left)


async def test_the_planted_bug_of_a_record_outside_the_transaction_is_found(
    node: Node, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the record the step runs again: what the tests above would see."""
    gone = datasource_steps._KEEP.replace("UPDATE rco.rco_step SET result = $3", "DELETE FROM rco.rco_step")

    async def forget(self: Any, connection: Any, transaction: Any, asked: Any, packed: bytes, mark: str) -> bool:
        del self, transaction, packed
        await connection.execute(gone.replace("$4", "$3"), *asked.key, mark)
        return True

    monkeypatch.setattr(datasource_steps.Datasource, "_keep", forget)
    await node.start(paying)
    asked = Attempt(Ids().uuid7(), "pay", 1)
    for _ in range(2):
        await node.source.perform(pay, ("o-1", 7), b"fp", None, None, asked)
    assert shop.count("paid") == 2

"""From a verified event to calls that its capability allows, through the real doors: and nothing else leaves."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import msgspec
import pytest
from tests.integration.capability.conftest import RULES

from rco.config.settings import Settings
from rco.errors import ConfigInvalid
from rco.kit.ids import id_bytes
from rco.model.grant_rule import GrantRule
from rco.model.schedule import ScheduleSpec
from rco.model.wire import ForkRun
from rco.store.contract.revocations import Revocation, RevokedKind


def paths(world: Any) -> list[tuple[str, str]]:
    return [(method, path) for method, path, _, _ in world.downstream.seen]


async def test_a_run_calls_what_its_event_was_granted_and_nothing_else(governed: Any) -> None:
    status, told = await governed.paid(
        "m1",
        ("POST", "/reservations/7"),
        ("GET", "/items/3"),
        ("DELETE", "/reservations/7"),
        ("GET", "/reservations/7"),
        ("GET", "/items/3/parts"),
        ("POST", "/reservations"),
        ("GET", "/items/3", "bank"),
        ("GET", "/child"),
    )
    assert status == 202
    run_id = await governed.only("fulfil")
    answers = await governed.end(run_id)
    assert [one.get("status") or one["refused"] for one in answers] == [200, 200, "not_allowed", *["cap_act"] * 5]
    assert "stock GET /**: The capability does not allow call:stock:GET:/reservations/7" in answers[3]["message"]
    assert paths(governed) == [("POST", "/reservations/7"), ("GET", "/items/3")]
    calls = [one for one in await governed.decisions() if one["verb"] == "call"]
    assert [(one.get("allow", True), one["facts"]["outcome"]) for one in calls] == [
        (True, "ok"),
        (True, "ok"),
        (False, "not_allowed"),
        *[(False, "cap_act")] * 5,
    ]
    (accepted,) = [one for one in await governed.decisions() if one["verb"] == "accept"]
    assert accepted["facts"]["kid"] == "k1"
    assert {one["facts"]["capability"] for one in calls} <= {accepted["facts"]["capability"], ""}
    assert accepted["corr_id"] == told["corr_id"]
    # Who looks at the run sees by which id its rights can be revoked.
    held = (await governed.client.run(run_id)).timeline[0].note.rpartition("holds ")[2]
    assert held.startswith(accepted["facts"]["capability"].removesuffix("..."))
    assert len(held) == 36


async def test_no_secret_of_a_capability_is_kept_anywhere(governed: Any, capsys: Any) -> None:
    await governed.paid("m1", ("POST", "/reservations/7"), ("GET", "/no"))
    run_id = await governed.only("fulfil")
    await governed.end(run_id)
    exported = b"".join([line async for line in governed.client.export_audit(journal=True)])
    (grant,) = [record.body["grant"] for record in await governed.records(run_id) if record.kind == 1]
    kept = [exported, repr(await governed.records(run_id)).encode(), capsys.readouterr().out.encode()]
    kept += [path.read_bytes() for path in (governed.folder / "data").iterdir() if path.name.startswith("rco.db")]
    ring = governed.office.ring()
    key = ring.find("k1")
    secret = json.loads(governed.ring.read_text())["keys"][0]["secret"]
    # The tag that would make a token of what the run holds.
    from rco.capability.token import minted

    tag = minted(key.rk, "k1", grant["id"], tuple(one.encode() for one in grant["caveats"])).tag
    lines = [json.loads(line) for line in exported.splitlines()]
    kept += [base64.b64decode(line["data"]) for line in lines if "data" in line]
    assert any(grant["id"].encode() in held for held in kept[3:])
    for held in kept:
        for one in (bytes.fromhex(secret), key.rk, key.seal_key, tag):
            assert one not in held
            assert one.hex().encode() not in held
        assert b"rcap1_" not in held


async def test_a_provider_that_no_rule_lets_in_is_refused(governed: Any) -> None:
    governed.rules = [GrantRule(to=["provider:shop"], scopes=["run:start:*", "call:*"])]
    await governed.service.reload(governed.settings())
    status, told = await governed.paid("m1", ("GET", "/items/3"))
    assert (status, told["reason"]) == (403, "POLICY_BLOCKED")
    await governed.until(lambda: _refused(governed, "cap_act"))
    assert await governed.rows() == []


async def _refused(governed: Any, reason: str) -> bool:
    return any(one["verb"] == "refuse" and one["reason"] == reason for one in await governed.decisions())


async def test_a_start_that_no_rule_grants_is_a_dead_letter_until_one_does(governed: Any) -> None:
    status, _ = await governed.send("m1", "order.refunded", {})
    assert status == 202
    (letter,) = (await governed.client.letters()).items
    assert "no rule grants run:start:refund to provider:shop" in letter.cause
    governed.rules.append(GrantRule(to=["provider:sh*"], subscription="ref*", scopes=["run:start:ref*", "call:stock"]))
    await governed.service.reload(governed.settings())
    assert (await governed.client.replay_letter(letter.id)).opened == 1
    assert await governed.end(await governed.only("refund")) == {"status": 200}


async def test_a_rule_for_one_subscription_gives_another_nothing(governed: Any) -> None:
    """``call:stock:GET`` is what a waiting run gets from the same event source."""
    await governed.paid("m1", ("GET", "/child"))
    assert (await governed.end(await governed.only("fulfil")))[0]["refused"] == "cap_act"


async def test_an_operators_run_gets_what_the_rules_give_the_principal(governed: Any) -> None:
    for path, wanted in (("/desk/1", {"status": 200}), ("/items/3", None)):
        run_id = await governed.call(method="GET", path=path)
        answer = await governed.end(run_id)
        assert answer == wanted or answer["refused"] == "cap_act"
    assert paths(governed) == [("GET", "/desk/1")]


async def test_a_scheduled_run_gets_what_the_rules_give_its_schedule(governed: Any) -> None:
    rule = GrantRule(to=["schedule:nightly"], scopes=["call:stock:GET:/night/**"])
    governed.rules = [*RULES, rule]
    await governed.service.reload(governed.settings())
    for name, path in (("nightly", "/night/1"), ("nightly2", "/night/2"), ("nightly3", "/desk/1")):
        given = {"method": "GET", "path": path}
        await governed.client.schedules.create(name, ScheduleSpec(workflow="asks", input=given, every_s=86_400))
        run_id = (await governed.client.schedules.trigger(name)).run_id
        while not any(one.id == run_id for one in (await governed.client.runs()).items):
            await asyncio.sleep(0.01)
        answer = await governed.end(run_id)
        assert answer == {"status": 200} if name == "nightly" else answer["refused"] == "cap_act", (name, answer)
    assert paths(governed) == [("GET", "/night/1")]


async def test_a_child_holds_what_its_parent_holds(governed: Any) -> None:
    await governed.paid("m1", ("GET", "/child"), ("GET", "/desk/1"), ("POST", "/elsewhere"), type="order.split")
    answers = await governed.end(await governed.only("parent"))
    assert [one.get("status") or one["refused"] for one in answers] == [200, "cap_act", "cap_act"]
    assert paths(governed) == [("GET", "/child")]


async def test_a_fork_and_a_retry_hold_what_the_run_before_them_held(governed: Any) -> None:
    await governed.paid("m1", ("GET", "/items/1"), ("GET", "/items/2"), ("POST", "/elsewhere"))
    run_id = await governed.only("fulfil")
    before = await governed.end(run_id)
    governed.rules = []
    await governed.service.reload(governed.settings())
    fork = await governed.client.fork(run_id, ForkRun(step="GET stock#1"))
    assert await governed.end(fork.id) == before
    again = await governed.client.fork(fork.id, ForkRun(step="GET stock#1"))
    assert await governed.end(again.id) == before
    assert [one["refused"] for one in before if "refused" in one] == ["cap_act"]
    await governed.client.cancel((held := await _held(governed)), force=True)
    retried = await governed.client.retry(held)
    assert await governed.answer(retried.run_id, 1, {"method": "GET", "path": "/again"}) == {"status": 200}
    assert (await governed.answer(retried.run_id, 2, {"method": "POST", "path": "/no"}))["refused"] == "cap_act"


async def _held(governed: Any) -> str:
    governed.rules = list(RULES)
    await governed.service.reload(governed.settings())
    await governed.send("m2", "order.held", {})
    run_id: str = await governed.only("waits")
    governed.rules = []
    await governed.service.reload(governed.settings())
    return run_id


async def test_an_emitted_event_gets_what_the_rules_give_the_workflow_that_emitted_it(governed: Any) -> None:
    started = await governed.client.start("emits", {})
    await governed.end(started.id)
    assert await governed.end(await governed.only("after")) == {"status": 200}
    governed.rules = RULES_WITHOUT_EMITS
    await governed.service.reload(governed.settings())
    await governed.end((await governed.client.start("emits", {})).id)
    (letter,) = (await governed.client.letters()).items
    assert "run:start:after to run:emits" in letter.cause


RULES_WITHOUT_EMITS = [GrantRule(to=["role:admin"], scopes=["call:stock:GET:/desk/**"])]


async def test_rights_are_those_of_the_start_after_a_reload_a_restart_and_a_rotation(governed: Any) -> None:
    await governed.send("m1", "order.held", {})
    run_id = await governed.only("waits")
    assert await governed.answer(run_id, 1, {"method": "GET", "path": "/a"}) == {"status": 200}
    governed.rules = [GrantRule(to=["provider:shop"], scopes=["webhook:accept:shop"])]
    governed.turn()
    await governed.again()
    assert governed.office.ring().kids() == {"k1", "k2"}
    assert await governed.answer(run_id, 2, {"method": "GET", "path": "/b"}) == {"status": 200}
    refused = await governed.answer(run_id, 3, {"method": "POST", "path": "/c"})
    assert refused["refused"] == "cap_act"
    governed.rules = [GrantRule(to=["provider:shop"], scopes=["webhook:accept:shop", "call:stock"])]
    await governed.service.reload(governed.settings())
    assert (await governed.answer(run_id, 4, {"method": "POST", "path": "/d"}))["refused"] == "cap_act"
    assert paths(governed) == [("GET", "/a"), ("GET", "/b")]


@pytest.mark.parametrize("kind", list(RevokedKind))
async def test_what_is_revoked_calls_nothing_more(governed: Any, kind: RevokedKind) -> None:
    await governed.send("m1", "order.held", {})
    run_id = await governed.only("waits")
    assert await governed.answer(run_id, 1, {"method": "GET", "path": "/a"}) == {"status": 200}
    (grant,) = [record.body["grant"] for record in await governed.records(run_id) if record.kind == 1]
    name = {RevokedKind.ID: grant["id"], RevokedKind.KID: "k1", RevokedKind.EPOCH: "default"}[kind]
    await governed.office.feed.revoke(Revocation(kind=kind, name=name, at_us=0, actor="test"))
    refused = await governed.answer(run_id, 2, {"method": "GET", "path": "/b"})
    assert refused["refused"] in ("cap_revoked", "cap_epoch")
    await governed.again()
    refused = await governed.answer(run_id, 3, {"method": "GET", "path": "/c"})
    assert refused["refused"] in ("cap_revoked", "cap_epoch")
    assert paths(governed) == [("GET", "/a")]
    status, _ = await governed.paid("m2", ("GET", "/items/3"))
    # Under a revoked key nothing more is minted; the others begin anew.
    assert status == (503 if kind is RevokedKind.KID else 202)
    if kind is RevokedKind.KID:
        governed.turn()
        await governed.office.ring.read()
        status, _ = await governed.paid("m3", ("GET", "/items/3"))
        assert status == 202
    assert (await governed.end(await governed.only("fulfil")))[0] == {"status": 200}


async def test_a_call_that_waits_for_its_turn_does_not_leave_when_it_was_revoked_meanwhile(governed: Any) -> None:
    egress = governed.service._egress
    limits = egress._lanes["stock"].limits
    await governed.send("m1", "order.held", {})
    run_id = await governed.only("waits")
    (grant,) = [record.body["grant"] for record in await governed.records(run_id) if record.kind == 1]
    held = 0
    while limits.slip_in():
        held += 1
    await governed.client.signal(run_id, "go", {"method": "GET", "path": "/late"})
    await governed.until(lambda: _waiting(governed))
    await governed.office.feed.revoke(Revocation(kind=RevokedKind.ID, name=grant["id"], at_us=0, actor="test"))
    for _ in range(held):
        limits.leave()
    assert (await governed.answer(run_id, 2, {"method": "GET", "path": "/later"}))["refused"] == "cap_revoked"
    assert paths(governed) == []


async def _waiting(governed: Any) -> bool:
    return any(one.waiting for one in governed.service._egress.state() if one.name == "stock")


async def test_silence_of_the_store_allows_nothing_and_fails_nothing(governed: Any) -> None:
    await governed.send("m1", "order.held", {})
    run_id = await governed.only("waits")
    feed = governed.office.feed
    await feed.stop()
    await governed.until(lambda: _unready(governed))
    assert (await governed.paid("m2", ("GET", "/items/3")))[0] == 503
    async with governed.session.get(f"{governed.service.url}/readyz") as response:
        assert response.status == 503
        assert "capabilities_ready" in (await response.json())["missing"]
    await governed.client.signal(run_id, "go", {"method": "GET", "path": "/a", "attempts": 100})
    await governed.until(lambda: _retried(governed))
    assert paths(governed) == []
    await feed.start()
    await governed.until(lambda: _seen(governed))
    assert (await governed.paid("m2", ("GET", "/items/3")))[0] == 202


async def _unready(governed: Any) -> bool:
    return not governed.office.ready()


async def _retried(governed: Any) -> bool:
    return any(one["verb"] == "retry" for one in await governed.decisions())


async def _seen(governed: Any) -> bool:
    return ("GET", "/a") in paths(governed)


async def test_a_run_from_before_calls_nothing_until_a_rule_says_so(governed: Any) -> None:
    governed.enforce = False
    await governed.again()
    await governed.send("m1", "order.held", {})
    run_id = await governed.only("waits")
    assert await governed.answer(run_id, 1, {"method": "POST", "path": "/free"}) == {"status": 200}
    governed.enforce = True
    await governed.again()
    assert (await governed.answer(run_id, 2, {"method": "GET", "path": "/a"}))["refused"] == "cap_missing"
    governed.rules.append(GrantRule(to=["before"], scopes=["call:stock:GET"]))
    await governed.service.reload(governed.settings())
    assert await governed.answer(run_id, 3, {"method": "GET", "path": "/b"}) == {"status": 200}
    assert (await governed.answer(run_id, 4, {"method": "POST", "path": "/c"}))["refused"] == "cap_missing"


async def test_a_record_that_was_changed_in_the_database_gives_no_rights(governed: Any) -> None:
    import sqlite3

    await governed.send("m1", "order.held", {})
    run_id = await governed.only("waits")
    await governed.stop()
    with sqlite3.connect(governed.folder / "data" / "rco.db") as database:
        (data,) = database.execute("SELECT data FROM journal WHERE run_id = ?", (id_bytes(run_id),)).fetchone()
        wider = data.replace(b"call:stock:GET", b"call:stock:PUT", 1)
        assert wider != data
        database.execute("UPDATE journal SET data = ? WHERE run_id = ? AND data = ?", (wider, id_bytes(run_id), data))
    database.close()
    await governed.start()
    assert (await governed.answer(run_id, 1, {"method": "PUT", "path": "/a"}))["refused"] in ("cap_seal", "not_allowed")
    assert (await governed.answer(run_id, 2, {"method": "GET", "path": "/a"}))["refused"] == "cap_seal"


async def test_enforcing_is_not_switched_by_a_reload(governed: Any) -> None:
    settings: Settings = governed.settings()
    off = msgspec.structs.replace(
        settings, grants=[], capability=msgspec.structs.replace(settings.capability, enforce=False)
    )
    with pytest.raises(ConfigInvalid, match="do not change while"):
        await governed.service.reload(off)
    run_id = await governed.call(method="GET", path="/items/3")
    assert (await governed.end(run_id))["refused"] == "cap_act"


async def test_a_service_without_its_keyring_does_not_start(governed: Any) -> None:
    await governed.service.stop()
    for mode, message in ((0o644, "0644"), (None, "rco keys rotate")):
        if mode is None:
            governed.ring.unlink()
        else:
            governed.ring.chmod(mode)
        from rco.app import build

        service = await build(governed.settings(), environ={"SHOP": "whsec_" + "a" * 44}, migrating=True)
        with pytest.raises(ConfigInvalid, match=message):
            await service.start()


async def test_many_events_at_a_time_each_have_a_capability_of_their_own(governed: Any) -> None:
    await asyncio.gather(*(governed.paid(f"m{n}", ("GET", f"/items/{n}")) for n in range(20)))
    ids: list[str] = []
    for row in await governed.rows(workflow="fulfil"):
        from rco.kit.ids import id_text

        ids += [r.body["grant"]["id"] for r in await governed.records(id_text(row.run_id)) if r.kind == 1]
    assert len(ids) == len(set(ids)) == 20

"""Payloads of a namespace with a key are nowhere but as ciphertext; without the key they are nowhere at all."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from typing import Any

import msgspec
import pytest
from tests.integration.encryption.conftest import SECRET

from rco.audit.verify import verify
from rco.errors import ConfigInvalid, Conflict, EvidenceBroken, Forbidden, NotFound, PayloadErased
from rco.kit.clock import SystemClock
from rco.kit.ids import id_bytes, id_text
from rco.model.journal import Kind
from rco.model.run import Mode
from rco.model.wire import ForkRun
from rco.model.wire_namespace_keys import NamespaceKeyAsk
from rco.model.wire_tenants import CreateNamespace
from rco.operations.export_runs import export_runs
from rco.store.opening import open_snapshot
from rco.verify.check import check
from rco.verify.lines import ExportLine
from rco.verify.sealed import read_keyring
from rco.verify.sources import Unreadable
from rco.verify.verdict import BLIND, Result

WORDS = (SECRET.encode(), SECRET.upper().encode())


async def busy(vault: Any) -> dict[str, str]:
    """Runs in every state, events, signals, dead letters: all with the secret in it. Ids by what they are."""
    client = vault.client
    ids: dict[str, str] = {}
    started = await client.start("keeps", SECRET)
    ids["done"] = started.id
    await client.signal(started.id, "word", {"of": SECRET})
    assert (await vault.end(started.id))["secret"] == SECRET
    ids["failed"] = (await client.start("fails", SECRET)).id
    await vault.end(ids["failed"])
    ids["waiting"] = (await client.start("keeps", SECRET)).id
    ids["sleeping"] = (await client.start("sleeps", SECRET)).id
    ids["hearing"] = (await client.start("hears", "nobody")).id
    status, _ = await vault.send("kept-1", "order.kept", {"secret": SECRET})
    assert status == 202
    status, _ = await vault.send("odd-1", "odd.thing", {"number": SECRET})
    assert status == 202

    async def settled() -> bool:
        rows = {row.workflow: row for row in await vault.rows()}
        letters = await client.letters()
        return rows["begins"].mode is Mode.CLOSED and bool(letters.items) and rows["sleeps"].mode is Mode.PARKED

    await vault.until(settled)
    return ids


async def chain_holds(vault: Any) -> bool:
    """A stranger with the export alone finds the chain whole, and no word of a payload in it."""
    every = [line async for line in exported(vault, "journal=true")]
    rows = [row for row in await vault.rows() if row.workflow == "keeps"]
    one = [line async for line in exported(vault, f"run={id_text(rows[0].run_id)}")]
    assert not any(word in line or base64.b64encode(word)[:12] in line for word in WORDS for line in every + one)
    for lines in (every, one):
        verdict = verify(lines)
        assert verdict.ok, verdict
    return True


async def checked(vault: Any) -> tuple[Any, list[bytes]]:
    """What rco verify says of an export with payloads, and the export."""

    def look() -> list[bytes]:
        with open_snapshot(str(vault.folder / "data/rco.db")) as snapshot:
            return list(export_runs(snapshot, at_us=SystemClock().now_us(), version="test", payloads=True))

    lines = await asyncio.to_thread(look)
    return check(msgspec.json.decode(line, type=ExportLine) for line in lines), lines


async def exported(vault: Any, what: str) -> Any:
    url, token = vault.service.url, (vault.folder / "data/admin.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with vault.session.get(f"{url}/v1/audit/export?{what}", headers=headers) as answer:
        assert answer.status == 200
        for line in (await answer.read()).splitlines():
            yield line


async def test_nothing_of_a_payload_is_on_the_disk_and_all_of_it_is_readable(vault: Any) -> None:
    await vault.create()
    ids = await busy(vault)
    assert vault.found(*WORDS) == []
    assert await chain_holds(vault)
    verdict, lines = await checked(vault)
    assert not verdict.failed, verdict.text()
    assert not any(word in line for word in WORDS for line in lines), "no export decrypts anything"
    shown = await vault.client.run(ids["done"])
    assert shown.result == {
        "secret": SECRET,
        "said": SECRET.upper(),
        "child": SECRET + "-child",
        "word": {"of": SECRET},
    }
    assert SECRET in (await vault.client.run(ids["failed"])).error["message"]
    assert [one.body for one in await vault.records(ids["done"]) if one.kind == Kind.STATE] == [["mine", SECRET]]
    for told in (await vault.client.events(type="told")).items:
        assert (await vault.client.event(told.id)).data == {"secret": SECRET}
    await vault.again()
    assert (await vault.client.run(ids["done"])).result["secret"] == SECRET
    await vault.client.signal(ids["waiting"], "word", 1)
    assert (await vault.end(ids["waiting"]))["secret"] == SECRET
    assert vault.found(*WORDS) == []


async def test_without_a_key_everything_is_as_it_was(vault: Any) -> None:
    await busy(vault)
    assert vault.found(*WORDS) != []


async def test_an_event_finds_who_waits_for_it(vault: Any) -> None:
    await vault.create()
    early = await vault.client.start("hears", "the-subject")

    async def waits() -> bool:
        return any(one.kind == Kind.WAIT for one in await vault.records(early.id))

    await vault.until(waits)
    late = await vault.client.start("looks_back", "the-subject")
    await vault.client.start("keeps", SECRET)
    assert await vault.end(early.id) == {"secret": SECRET}
    await vault.client.signal(late.id, "go")
    assert await vault.end(late.id) == {"secret": SECRET}
    assert vault.found(*WORDS) == []


async def test_lists_and_filters_go_by_what_is_not_secret(vault: Any) -> None:
    await vault.create()
    ids = await busy(vault)
    all_failed = await vault.client.runs(state="failed")
    assert ids["failed"] in [one.id for one in all_failed.items]
    code = (await vault.client.run(ids["failed"])).error["code"]
    assert ids["failed"] in [id_text(row.run_id) for row in await vault.rows(code=code)]
    assert await vault.rows(text=SECRET) == []


async def test_an_erased_key_leaves_nothing_readable_and_the_chain_intact(vault: Any, tmp_path: Any) -> None:
    await vault.create()
    ids = await busy(vault)
    (key,) = (await vault.service._keeper.reader.namespace_keys(0, 10)).keys
    assert vault.found(key.wrapped) != []
    assert (await vault.erase()).keys == 1

    async def blocked() -> bool:
        rows = [row for row in await vault.rows() if row.outcome is None]
        return bool(rows) and all(row.mode is Mode.BLOCKED for row in rows)

    await vault.until(blocked)
    assert vault.found(*WORDS, key.wrapped) == []
    assert vault.service._desk.engine.stats().open_in_memory == 0
    # Metadata stays: what ran, when, how it ended, and why nobody can read it.
    runs = (await vault.client.runs(limit=100)).items
    assert {one.id for one in runs} >= set(ids.values())
    for id in ids.values():
        shown = await vault.client.run(id)
        assert (shown.result, shown.timeline) == (None, [])
        assert shown.error["code"] == "payload_erased"
        assert "they asked" in shown.error["message"]
    assert await vault.rows(code="payload_erased")
    assert (await vault.client.letters()).items
    for event in (await vault.client.events()).items:
        with pytest.raises(NotFound, match="erased"):
            await vault.client.event(event.id)
    with pytest.raises(PayloadErased):
        await vault.records(ids["done"])
    # The chain is over what is stored, and that is what it was.
    assert await chain_holds(vault)
    verdict, lines = await checked(vault)
    assert not verdict.failed, verdict.text()
    assert verdict.encrypted >= len(ids)
    assert not any(word in line for word in (*WORDS, key.wrapped) for line in lines)
    assert (await vault.erase()).keys == 0
    decisions = [one for one in await vault.decisions() if one["verb"] == "key"]
    assert [one["facts"]["did"] for one in decisions][:2] == ["create", "erase"]
    assert {"actor": "principal:admin", "subject": "default", "reason": "they asked"}.items() <= decisions[1].items()


async def test_an_erased_namespace_takes_nothing_new_until_it_has_another_key(vault: Any) -> None:
    await vault.create()
    ids = await busy(vault)
    await vault.erase()
    with pytest.raises(Forbidden, match="erased"):
        await vault.client.start("inner", "more")
    status, answer = await vault.send("kept-2", "order.kept", {"secret": SECRET})
    assert (status, answer["reason"]) == (403, "POLICY_BLOCKED")
    await vault.again()
    with pytest.raises(Forbidden, match="erased"):
        await vault.client.start("inner", "more")
    with pytest.raises(NotFound, match="erased"):
        await vault.client.fork(ids["done"], ForkRun(step="shout"))
    made = await vault.create()
    assert made.version == 2
    run = await vault.client.start("inner", SECRET)
    assert await vault.end(run.id) == SECRET + "-child"
    assert (await vault.client.run(ids["done"])).error["code"] == "payload_erased"
    assert vault.found(*WORDS) == []


async def test_what_is_blocked_by_an_erasure_can_be_ended(vault: Any) -> None:
    await vault.create()
    ids = await busy(vault)
    await vault.erase()

    async def blocked() -> bool:
        return all(row.mode is Mode.BLOCKED for row in await vault.rows() if row.outcome is None)

    await vault.until(blocked)
    for name in ("waiting", "sleeping", "hearing"):
        await vault.client.cancel(ids[name], force=True, reason="nothing is left of it")
        assert (await vault.client.run(ids[name])).state == "terminated"
    assert await chain_holds(vault)


async def test_a_rotation_leaves_what_was_readable(vault: Any) -> None:
    first = await vault.create()
    ids = await busy(vault)
    vault.turn()
    await vault.service._desk.namespace_keys._roots.read()
    ask = NamespaceKeyAsk(namespace="default", reason="a year is over")
    second = await vault.client.namespace_keys.rotate(ask)
    assert (second.version, second.state, second.root_kid) == (2, "waiting", "k2")

    async def used() -> bool:
        page = await vault.client.namespace_keys.list()
        return [one.state for one in page.items] == ["decrypting", "encrypting"]

    await vault.until(used)
    assert {one.root_kid for one in (await vault.client.namespace_keys.list()).items} == {"k2"}
    assert (await vault.client.run(ids["done"])).result["secret"] == SECRET
    again = await vault.client.start("inner", SECRET)
    await vault.end(again.id)
    with sqlite3.connect(vault.folder / "data/rco.db") as database:
        made = {row[0] for row in database.execute("SELECT substr(data, 5, 16) FROM journal")}
    assert made == {bytes.fromhex(first.id), bytes.fromhex(second.id)}
    await vault.erase()
    with pytest.raises(PayloadErased):
        await vault.records(again.id)


async def test_rows_that_were_swapped_do_not_open(vault: Any) -> None:
    await vault.create()
    one, two = [(await vault.client.start("inner", f"{SECRET}-{at}")).id for at in range(2)]
    for id in (one, two):
        await vault.end(id)
    await vault.stop()
    with sqlite3.connect(vault.folder / "data/rco.db") as database:

        def swap(table: str, column: str, rowid: str) -> None:
            ask = f"SELECT {rowid}, {column} FROM {table} WHERE run_id = ? ORDER BY 1"
            ours, theirs = [database.execute(ask, (id_bytes(id),)).fetchall() for id in (one, two)]
            for (mine, _), (_, other) in zip(ours, theirs, strict=False):
                database.execute(f"UPDATE {table} SET {column} = ? WHERE {rowid} = ?", (other, mine))

        swap("closed_run", "detail", "run_id")
    await vault.start()
    assert (await vault.client.run(one)).error["code"] == "evidence_broken"
    assert (await vault.client.run(one)).result is None
    assert (await vault.client.run(two)).result == f"{SECRET}-1-child"
    await vault.stop()
    with sqlite3.connect(vault.folder / "data/rco.db") as database:
        swap("journal", "data", "place")
    await vault.start()
    with pytest.raises(EvidenceBroken, match="does not open"):
        await vault.records(one)


async def test_a_second_first_key_is_refused_and_so_is_a_service_without_the_ring(vault: Any) -> None:
    await vault.create()
    with pytest.raises(Conflict, match="has a key"):
        await vault.create()
    with pytest.raises(NotFound, match="no namespace"):
        await vault.create("other")
    await vault.client.namespaces.create(CreateNamespace(name="other"))
    with pytest.raises(NotFound, match="no key"):
        await vault.client.namespace_keys.rotate(NamespaceKeyAsk(namespace="other", reason="x"))
    with pytest.raises(NotFound, match="never had a key"):
        await vault.erase("other")
    await vault.stop()
    vault.configured = False
    with pytest.raises(ConfigInvalid, match=r"encryption\.keys"):
        await vault.start()
    vault.configured = True
    await vault.start()


async def test_another_ring_opens_nothing_and_writes_nothing_readable(vault: Any) -> None:
    await vault.create()
    ids = await busy(vault)
    await vault.stop()
    kept = vault.ring.read_text()
    vault.ring.unlink()
    await vault.start()
    shown = await vault.client.run(ids["done"])
    assert shown.error["code"] == "payload_locked"
    with pytest.raises(Forbidden, match="does not open"):
        await vault.client.start("inner", SECRET)
    (key,) = (await vault.client.namespace_keys.list()).items
    assert key.state == "locked"
    await vault.stop()
    vault.ring.write_text(kept)
    await vault.start()
    assert (await vault.client.run(ids["done"])).result["secret"] == SECRET

    async def going() -> bool:
        return (await vault.client.run(ids["waiting"])).state == "running"

    await vault.until(going)
    await vault.client.signal(ids["waiting"], "word", 1)
    assert (await vault.end(ids["waiting"]))["secret"] == SECRET
    assert vault.found(*WORDS) == []


async def looked_into(vault: Any, ring: Any = None, *, wrapped: bool = True, payloads: bool = True) -> tuple[Any, Any]:
    """What rco verify says with a keyring, and the lines that it said it of."""

    def look() -> list[bytes]:
        with open_snapshot(str(vault.folder / "data/rco.db")) as snapshot:
            return list(
                export_runs(
                    snapshot, at_us=SystemClock().now_us(), version="test", payloads=payloads, wrapped_keys=wrapped
                )
            )

    lines = await asyncio.to_thread(look)
    return check((msgspec.json.decode(line, type=ExportLine) for line in lines), keyring=ring), lines


async def test_with_the_keys_at_hand_the_checker_looks_into_encrypted_runs(vault: Any) -> None:
    await busy(vault)
    plain, _ = await looked_into(vault)
    await vault.create()

    async def encrypts() -> bool:
        return vault.service._desk.namespace_keys.writing("default") is not None

    await vault.until(encrypts)
    ids = await busy_again(vault)
    ring = read_keyring(f"file:{vault.ring}", {})
    verdict, lines = await looked_into(vault, ring)
    assert not verdict.failed, verdict.text()
    assert verdict.opened >= len(ids)
    assert (verdict.encrypted, verdict.unseen, verdict.hidden) == (0, {}, 0)
    assert not any(word in line for word in WORDS for line in lines if b"encrypted" in line)
    # What it sees in there is what the service itself shows.
    without, _ = await looked_into(vault, None)
    assert not without.failed
    assert without.encrypted == verdict.opened
    assert without.unseen == {"no key was given (--keyring)": verdict.opened}
    assert without.hidden > 0
    assert {one.rule for one in without.rules if one.result is Result.UNKNOWN} >= set(BLIND)
    assert "encrypted runs not looked into" in without.text()
    assert plain.encrypted == 0


async def busy_again(vault: Any) -> dict[str, str]:
    client = vault.client
    ids = {"failed": (await client.start("fails", SECRET)).id, "asleep": (await client.start("sleeps", SECRET)).id}
    started = await client.start("keeps", SECRET)
    await client.signal(started.id, "word", {"of": SECRET})
    await vault.end(started.id)
    await vault.end(ids["failed"])
    return ids | {"done": started.id}


async def test_the_checker_says_why_it_could_not_look(vault: Any, tmp_path: Any) -> None:
    await vault.create()
    ids = await busy(vault)
    ring = read_keyring(f"file:{vault.ring}", {})
    for changes, why in (
        ({"wrapped": False}, "its key is not in the export"),
        ({"payloads": False}, "its bytes are not in the export"),
    ):
        verdict, _ = await looked_into(vault, ring, **changes)
        assert any(text.startswith(why) for text in verdict.unseen), verdict.unseen
    verdict, _ = await looked_into(vault, {"k1": bytes(32)})
    assert any("does not open under the root key" in text for text in verdict.unseen)
    await vault.erase()
    verdict, _ = await looked_into(vault, ring)
    assert not verdict.failed, verdict.text()
    assert verdict.unseen.keys() == {"its key was erased"}
    assert verdict.encrypted >= len(ids)
    # What nobody can ever look into leaves no rule in the dark for good.
    assert all("not looked into" in one.evidence for one in verdict.rules if one.rule in BLIND)


async def test_a_ciphertext_that_was_moved_or_changed_is_found(vault: Any) -> None:
    await vault.create()
    await busy(vault)
    ring = read_keyring(f"file:{vault.ring}", {})
    _, lines = await looked_into(vault, ring)
    decoded = [msgspec.json.decode(line, type=ExportLine) for line in lines]
    sealed = [line for line in decoded if getattr(line, "encrypted", "")]
    one, other = sealed[0], next(line for line in sealed if line.run != sealed[0].run)
    moved = msgspec.structs.replace(one, data=other.data)
    flipped = msgspec.structs.replace(one, data=one.data[:-1] + bytes((one.data[-1] ^ 1,)))
    for wrong in (moved, flipped):
        verdict = check((wrong if line is one else line for line in decoded), keyring=ring)
        found = next(rule.findings for rule in verdict.rules if rule.rule == "h")
        assert any("does not open under its key" in text or "no ciphertext" in text for text in found), found


def test_a_keyring_is_given_by_reference_and_only_to_its_owner(tmp_path: Any) -> None:
    ring = tmp_path / "ring.json"
    ring.write_text('{"format":"rco-keyring/1","keys":[{"kid":"k1","secret":"' + "5a" * 32 + '"}]}')
    ring.chmod(0o644)
    with pytest.raises(Unreadable, match="chmod 600"):
        read_keyring(f"file:{ring}", {})
    ring.chmod(0o600)
    assert read_keyring(f"file:{ring}", {}) == {"k1": b"Z" * 32}
    assert read_keyring("env:RING", {"RING": ring.read_text()}) == {"k1": b"Z" * 32}
    for wrong in ("5a" * 32, "env:NOBODY", f"file:{tmp_path}/none", "file:", "env:"):
        with pytest.raises(Unreadable) as said:
            read_keyring(wrong, {"NOBODY": "5a" * 32})
        assert "5a5a" not in str(said.value)

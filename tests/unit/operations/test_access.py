"""Grants, tokens and the first administrator."""

from __future__ import annotations

from pathlib import Path

import pytest

from rco.audit.chain import ChainSealer
from rco.errors import Forbidden, Reason, Refused
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.principal import Principal, Role
from rco.operations.access import Access, require, token_digest
from rco.operations.first_admin import ensure_admin
from rco.store import migrate
from rco.store.sqlite.keeper import SqliteKeeper

START_US = 1_800_000_000_000_000


@pytest.fixture
async def reader(tmp_path: Path):
    path = tmp_path / "rco.db"
    migrate.up(path)
    clock = SystemClock()
    keeper = SqliteKeeper(path, clock=clock, ids=Ids(clock), sealer=ChainSealer(), node="n")
    await keeper.start()
    yield keeper.reader
    await keeper.stop()


@pytest.mark.parametrize("held", Role)
@pytest.mark.parametrize("needed", Role)
def test_each_role_may_what_those_before_it_may(held: Role, needed: Role) -> None:
    order = [Role.VIEWER, Role.OPERATOR, Role.ADMIN]
    principal = Principal(principal_id="p", name="p", role=held)
    if order.index(held) >= order.index(needed):
        require(principal, needed)
    else:
        with pytest.raises(Forbidden, match=f"needs {needed}"):
            require(principal, needed)


async def _ensure(reader, file: Path) -> bool:
    return (await ensure_admin(reader, SystemClock(), Ids(), file)).made


async def test_the_first_administrators_token_is_private_and_only_its_digest_is_stored(reader, tmp_path: Path) -> None:
    file = tmp_path / "data" / "admin.token"
    assert await _ensure(reader, file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    token = file.read_text().strip()
    assert len(token) == 64
    found = await Access(reader, SystemClock()).principal(f"Bearer {token}")
    assert found.role is Role.ADMIN
    for stored in tmp_path.glob("rco.db*"):
        assert token.encode() not in stored.read_bytes()


async def test_a_second_start_touches_nothing(reader, tmp_path: Path) -> None:
    file = tmp_path / "admin.token"
    await _ensure(reader, file)
    before = file.read_text()
    assert not await _ensure(reader, file)
    assert file.read_text() == before
    file.unlink()
    assert not await _ensure(reader, file)
    assert not file.exists()


async def test_a_token_from_a_start_that_was_killed_half_way_is_replaced(reader, tmp_path: Path) -> None:
    file = tmp_path / "admin.token"
    file.write_text("0" * 64)
    assert await _ensure(reader, file)
    assert file.read_text().strip() != "0" * 64


async def test_a_planted_link_is_not_followed(reader, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    file = tmp_path / "admin.token"
    file.symlink_to(elsewhere)
    await _ensure(reader, file)
    assert elsewhere.read_text() == "mine"
    assert not file.is_symlink()


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic abc", "abc", "Bearer " + "x" * 600, "Bearer \u00e9", "Bearer no"]
)
async def test_what_is_no_known_token_is_refused(reader, header: str | None) -> None:
    access = Access(reader, SystemClock())
    with pytest.raises(Refused) as caught:
        await access.principal(header)
    assert caught.value.reason is Reason.UNAUTH


def test_the_digest_is_not_the_plain_hash_of_the_token() -> None:
    from rco.kit.digest import digest

    assert token_digest("t") == token_digest("t")
    assert token_digest("t") != digest(b"t")


async def test_what_a_killed_start_had_made_valid_gets_its_name(reader, tmp_path: Path, monkeypatch) -> None:
    from rco.operations import first_admin

    file = tmp_path / "admin.token"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(first_admin, "_rename", killed)
    with pytest.raises(KeyboardInterrupt):
        await _ensure(reader, file)
    monkeypatch.undo()
    assert not file.exists()
    assert not await _ensure(reader, file)
    found = await Access(reader, SystemClock()).principal(f"Bearer {file.read_text().strip()}")
    assert found.role is Role.ADMIN
    assert found.everywhere


async def test_an_expired_token_is_worth_nothing_though_it_was_remembered(reader) -> None:
    class Later:
        at_us = START_US

        def now_us(self) -> int:
            return self.at_us

        def monotonic(self) -> float:
            return 0.0

    later = Later()
    access = Access(reader, later)
    short = Principal(principal_id="p", name="p", role=Role.VIEWER, expires_us=START_US + 1000)
    await reader.add_principal(short, token_digest("short"))
    assert await access.principal("Bearer short") == short
    later.at_us = START_US + 1000
    with pytest.raises(Refused, match="not known"):
        await access.principal("Bearer short")


@pytest.mark.parametrize(
    ("namespaces", "asked", "allowed"),
    [
        ((), None, True),
        ((), "default", True),
        ((), "acme", False),
        (("acme",), "acme", True),
        (("acme",), "acm", False),
        (("*",), "acme", True),
        (("*",), "*", False),
        (("*",), "a" * 64, False),
    ],
)
async def test_a_principal_enters_only_the_namespaces_it_is_bound_to(reader, namespaces, asked, allowed) -> None:
    bound = Principal(principal_id="p", name="p", role=Role.VIEWER, namespaces=namespaces)
    await reader.add_principal(bound, token_digest("t"))
    access = Access(reader, SystemClock())
    if not allowed:
        with pytest.raises(Refused) as caught:
            await access.principal("Bearer t", asked)
        assert caught.value.reason is Reason.SCOPE_MISMATCH
        return
    found = await access.principal("Bearer t", asked)
    assert found.namespace == (asked or "default")
    assert found.may_enter("default")

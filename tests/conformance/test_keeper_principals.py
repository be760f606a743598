"""Principals: made once whoever asks, found by their token, taken away."""

from __future__ import annotations

import asyncio

import pytest

from rco.errors import Conflict
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.principal import Principal, Role
from rco.operations.access import token_digest
from rco.operations.first_admin import ensure_admin

WHOLE = Principal(
    principal_id="p",
    name="P",
    role=Role.OPERATOR,
    namespace="acme",
    namespaces=("beta", "*"),
    expires_us=7,
    created_us=5,
    origin="principal:admin",
)


async def test_all_that_is_known_of_one_comes_back(keeper) -> None:
    await keeper.reader.add_principal(WHOLE, b"a" * 32)
    assert await keeper.reader.principal(b"a" * 32) == WHOLE
    assert await keeper.reader.principals() == [WHOLE]


async def test_of_many_that_ask_at_once_one_token_stands(keeper) -> None:
    one = Principal(principal_id="p", name="p", role=Role.ADMIN)
    tokens = [bytes([at]) * 32 for at in range(8)]
    won = await asyncio.gather(*(keeper.reader.found_principal(one, token) for token in tokens))
    assert sum(won) == 1
    standing = [await keeper.reader.principal(token) is not None for token in tokens]
    assert standing == list(won)
    assert await keeper.reader.found_principal(one, tokens[won.index(True)])


async def test_the_token_of_another_is_refused(keeper) -> None:
    await keeper.reader.found_principal(Principal(principal_id="a", name="a", role=Role.VIEWER), b"a" * 32)
    with pytest.raises(Conflict):
        await keeper.reader.found_principal(Principal(principal_id="b", name="b", role=Role.VIEWER), b"a" * 32)


async def test_one_that_is_dropped_is_gone_and_its_name_is_free(keeper) -> None:
    await keeper.reader.found_principal(WHOLE, b"a" * 32)
    await keeper.reader.drop_principal("p")
    await keeper.reader.drop_principal("p")
    assert await keeper.reader.principal(b"a" * 32) is None
    assert await keeper.reader.found_principal(WHOLE, b"b" * 32)


async def test_nodes_that_start_at_once_leave_one_administrator_and_the_winners_file(keeper, tmp_path) -> None:
    files = [tmp_path / f"node-{at}" / "admin.token" for at in range(6)]
    clock = SystemClock()
    founded = await asyncio.gather(
        *(ensure_admin(keeper.reader, clock, Ids(), file, host=f"h{at}") for at, file in enumerate(files))
    )
    assert [one.made for one in founded].count(True) == 1
    winner = files[[one.made for one in founded].index(True)]
    assert [file for file in files if file.exists()] == [winner]
    assert list(tmp_path.rglob("*new*")) == []
    found = await keeper.reader.principal(token_digest(winner.read_text().strip()))
    assert found is not None
    assert found.role is Role.ADMIN
    # Every node knows where to look.
    assert {one.where for one in founded} == {found.origin}
    assert found.origin.endswith(str(winner))

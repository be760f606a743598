"""Principals by the API: a token once, bounds that cannot be widened, a last administrator that stays."""

from __future__ import annotations

import pytest

from rco.client import Client
from rco.errors import Conflict, Forbidden, NotFound, RcoError, Refused
from rco.model.wire_tenants import CreateNamespace, CreatePrincipal


@pytest.fixture(autouse=True)
async def namespaces(served) -> None:
    for name in ("acme", "beta"):
        await served.admin.namespaces.create(CreateNamespace(name=name))


async def test_a_token_is_shown_once_and_works_where_it_is_bound(served) -> None:
    made = await served.admin.principals.create(
        CreatePrincipal(id="robot", role="operator", namespaces=["acme", "beta"], ttl_ms=3_600_000)
    )
    assert made.principal.namespaces == ["acme", "beta"]
    assert made.principal.by == "principal:admin"
    assert made.principal.expires_at is not None
    page = await served.admin.principals.list()
    assert made.token not in str(page)
    assert [one.id for one in page.items] == ["admin", "operator", "robot", "viewer"]
    async with Client(served.url, made.token) as robot, Client(served.url, made.token, namespace="beta") as beta:
        run = await robot.start("greet", "a")
        assert (await robot.wait(run.id)).namespace == "acme"
        with pytest.raises(NotFound):
            await beta.run(run.id)
        assert (await beta.info()).namespace == "beta"
    async with Client(served.url, made.token, namespace="default") as outside:
        with pytest.raises(RcoError, match="not bound"):
            await outside.runs()


async def test_an_administrator_of_one_namespace_follows_no_chain_over_all(served) -> None:
    made = await served.admin.principals.create(CreatePrincipal(id="local", role="admin", namespaces=["acme"]))
    assert (await served.admin.tail()).whole
    async with Client(served.url, made.token) as local:
        with pytest.raises(Forbidden):
            await local.tail()


async def test_what_was_made_and_revoked_stands_in_the_chain(served) -> None:
    made = await served.admin.principals.create(CreatePrincipal(id="robot", role="viewer"))
    await served.admin.principals.revoke("robot", "left the house")
    async with Client(served.url, made.token) as robot:
        with pytest.raises(Refused):
            await robot.info()
    evidence = b"".join([piece async for piece in served.admin.export_audit()])
    assert made.token.encode() not in evidence
    said = evidence.decode().replace('\\"', '"')
    for text in ('"verb":"principal"', '"reason":"created"', '"reason":"revoked"', "left the house"):
        assert text in said, text
    # The name is free again, for another token.
    again = await served.admin.principals.create(CreatePrincipal(id="robot", role="viewer"))
    assert again.token != made.token


async def test_nobody_gives_what_they_do_not_have(served) -> None:
    tenant = await served.admin.principals.create(CreatePrincipal(id="boss", role="admin", namespaces=["acme"]))
    async with Client(served.url, tenant.token) as boss:
        for namespaces in (["default"], ["acme", "default"], ["*"]):
            with pytest.raises(Forbidden):
                await boss.principals.create(CreatePrincipal(id="spy", role="viewer", namespaces=namespaces))
        await boss.principals.create(CreatePrincipal(id="own", role="viewer", namespaces=["acme"]))
        assert [one.id for one in (await boss.principals.list()).items] == ["boss", "own"]
        with pytest.raises(NotFound):
            await boss.principals.revoke("viewer")
        await boss.principals.revoke("own")
    with pytest.raises(Forbidden):
        await served.operator.principals.list()


async def test_an_id_is_given_once_and_the_last_administrator_stays(served) -> None:
    with pytest.raises(Conflict, match="last administrator"):
        await served.admin.principals.revoke("admin")
    with pytest.raises(Conflict):
        await served.admin.principals.create(CreatePrincipal(id="admin", role="viewer"))
    short = CreatePrincipal(id="second", role="admin", namespaces=["*"], ttl_ms=60_000)
    await served.admin.principals.create(short)
    with pytest.raises(Conflict, match="last administrator"):
        # One that expires cannot be the one that is left.
        await served.admin.principals.revoke("admin")
    with pytest.raises(Conflict):
        await served.admin.principals.create(short)


@pytest.mark.parametrize(
    "body",
    [
        {"id": "A b", "role": "viewer"},
        {"id": "x", "role": "king"},
        {"id": "x", "role": "viewer", "namespaces": []},
        {"id": "x", "role": "viewer", "namespaces": ["A"]},
        {"id": "x", "role": "viewer", "namespaces": ["**"]},
        {"id": "x", "role": "viewer", "ttl_ms": 1},
        {"id": "x", "role": "viewer", "more": 1},
    ],
)
async def test_what_does_not_fit_is_refused(served, body: dict) -> None:
    status, _, _ = await served.call("POST", "/v1/principals", json=body)
    assert status == 400

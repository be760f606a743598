"""Capabilities over HTTP: minting, showing one instead of a token, revoking, keys."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from rco.capability.token import attenuated, parse
from rco.client import Client
from rco.errors import Forbidden, NotFound, Overloaded, Refused, WorkflowError
from rco.kit.digest import content_address
from rco.model.wire_capabilities import CheckAsk, MintAsk, RevokeAsk

B3 = "b3:" + "0" * 64


async def minted(world: Any, *scopes: str, **more: Any) -> str:
    made = await world.client.mint(MintAsk(scopes=list(scopes), **more))
    return str(made.token)


async def test_who_shows_a_capability_starts_what_it_names_and_nothing_else(governed: Any) -> None:
    token = await minted(governed, "run:start:asks", "call:stock:GET:/items/*", ttl_ms=60_000)
    async with Client(governed.service.url, token) as bearer:
        started = await bearer.start("asks", {"method": "GET", "path": "/items/1"})
        assert await governed.end(started.id) == {"status": 200}
        other = await bearer.start("asks", {"method": "GET", "path": "/desk/1"})
        assert (await governed.end(other.id))["refused"] == "cap_act"
        with pytest.raises(Forbidden):
            await bearer.start("fulfil", {})
        for question in (bearer.runs(), bearer.run(started.id), bearer.cancel(started.id), bearer.targets()):
            with pytest.raises(Forbidden):
                await question
        with pytest.raises(Forbidden):
            await bearer.mint(MintAsk(scopes=["write:put"]))
    (decision,) = [one for one in await governed.decisions() if one["verb"] == "start" and one["run"] == started.id]
    assert decision["actor"].startswith("principal:capability:cap_")
    assert token[20:] not in json.dumps(await governed.decisions())


async def test_a_narrower_one_does_less(governed: Any) -> None:
    token = parse(await minted(governed, "run:start:*", "call:stock"))
    narrower = str(attenuated(token, b"act=run:start:asks call:stock:GET:/items/*"))
    async with Client(governed.service.url, narrower) as bearer:
        with pytest.raises(Forbidden):
            await bearer.start("waits", {})
        run = await bearer.start("asks", {"method": "GET", "path": "/elsewhere"})
        assert (await governed.end(run.id))["refused"] == "cap_act"
    forged = token.__class__(token.kid, token.id, token.caveats[:-1], token.tag)
    async with Client(governed.service.url, str(forged)) as bearer:
        with pytest.raises(Refused) as refused:
            await bearer.start("asks", {})
        assert refused.value.status == 401


async def test_one_bound_to_a_body_and_a_request_fits_no_other(governed: Any) -> None:
    body = json.dumps({"workflow": "asks", "input": {"method": "GET", "path": "/x"}}).encode()
    token = await minted(governed, "run:start:asks", corr_id="c0rr-0001", body=content_address(body))

    async def post(data: bytes, corr_id: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "X-Corr-ID": corr_id, "Content-Type": "application/json"}
        url = f"{governed.service.url}/v1/runs"
        async with aiohttp.ClientSession() as session, session.post(url, data=data, headers=headers) as answer:
            return answer.status

    assert await post(body, "c0rr-0002") == 403
    assert await post(body + b" ", "c0rr-0001") == 403
    assert await post(body, "c0rr-0001") == 201


async def test_a_revoked_one_is_refused_at_once_and_listed(governed: Any) -> None:
    token = await minted(governed, "run:start:asks")
    id = parse(token).id
    done = await governed.client.revoke(RevokeAsk(kind="id", name=id, reason="it was in a chat"))
    assert await governed.client.revoke(RevokeAsk(kind="id", name=id, reason="again")) == done
    async with Client(governed.service.url, token) as bearer:
        with pytest.raises(Refused):
            await bearer.start("asks", {})
    view = await governed.client.check_capability(CheckAsk(token=token))
    assert (view.good, view.reason) == (False, "The capability was revoked.")
    page = await governed.client.revocations()
    assert [(one.kind, one.name, one.reason) for one in page.items] == [("id", id, "it was in a chat")]
    assert page.next is None
    found = [one for one in await governed.decisions() if one["verb"] in ("mint", "revoke")]
    assert [one["reason"] for one in found] == ["minted", "it was in a chat", "again"]
    assert all(id not in json.dumps(one) for one in found)


async def test_what_is_said_of_a_token(governed: Any) -> None:
    token = await minted(governed, "run:start:asks", "call:stock:GET")
    check = governed.client.check_capability
    assert (await check(CheckAsk(token=token))).good
    assert (await check(CheckAsk(token=token, scope="run:start:asks"))).good
    assert not (await check(CheckAsk(token=token, scope="run:start:fulfil"))).good
    assert (await check(CheckAsk(token=token, scope="call:stock:GET"))).good
    assert not (await check(CheckAsk(token=token, scope="call:stock:PUT"))).good
    for wrong in ("run:start:*", "call:stock:GET,PUT", "fly:moon"):
        with pytest.raises((Refused, WorkflowError)):
            await check(CheckAsk(token=token, scope=wrong))
    with pytest.raises(Refused):
        await check(CheckAsk(token="rcap1_nothing"))


@pytest.mark.parametrize(
    "ask",
    [
        {"scopes": ["fly:moon"]},
        {"scopes": []},
        {"scopes": ["run:start:a b"]},
        {"scopes": ["run:start:a"], "ttl_ms": 3_600_001},
        {"scopes": ["run:start:a"], "ttl_ms": 1},
        {"scopes": ["run:start:a"], "body": "b3:1"},
        {"scopes": ["run:start:a"], "corr_id": "a b"},
        {"scopes": ["run:start:" + "a" * 100] * 40},
    ],
)
async def test_what_cannot_be_minted_is_a_clear_no(governed: Any, ask: dict[str, Any]) -> None:
    with pytest.raises((Refused, WorkflowError)) as refused:
        await governed.client.mint(MintAsk(**ask))
    assert getattr(refused.value, "status", 400) == 400


async def test_keys_are_listed_without_their_secrets(governed: Any) -> None:
    governed.turn()
    await governed.office.ring.read()
    await governed.client.revoke(RevokeAsk(kind="kid", name="k1", reason="old"))
    page = await governed.client.keys()
    assert [(one.kid, one.state) for one in page.items] == [("k2", "minting"), ("k1", "revoked")]
    added = [one for one in await governed.decisions() if one.get("subject") == "capability.keys"]
    assert [(one["reason"], one["facts"]["kid"]) for one in added] == [("key_added", "k2")]


async def test_revocations_one_by_one_have_a_bound(governed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("rco.operations.capabilities.REVOCATIONS_MAX", 1)
    await governed.client.revoke(RevokeAsk(kind="id", name="a", reason="x"))
    with pytest.raises(Overloaded):
        await governed.client.revoke(RevokeAsk(kind="id", name="b", reason="x"))
    await governed.client.revoke(RevokeAsk(kind="epoch", name="default", reason="x"))


async def test_where_nothing_is_enforced_there_is_nothing_to_mint(governed: Any) -> None:
    token = await minted(governed, "run:start:asks")
    governed.enforce = False
    await governed.again()
    with pytest.raises((Refused, WorkflowError, NotFound)) as refused:
        await governed.client.mint(MintAsk(scopes=["run:start:asks"]))
    assert "capability.enforce" in str(refused.value)
    async with Client(governed.service.url, token) as bearer:
        with pytest.raises(Refused):
            await bearer.start("asks", {})

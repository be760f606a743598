"""Namespaces by the API: made, bounded, closed, each refusal with its envelope, metric and record."""

from __future__ import annotations

import json

import pytest

from rco.client import Client
from rco.errors import Conflict, Forbidden, NotFound, Overloaded, RcoError
from rco.model.namespace import Quotas
from rco.model.wire_tenants import CreateNamespace, CreatePrincipal, SetNamespace


@pytest.fixture
async def acme(served):
    await served.admin.namespaces.create(CreateNamespace(name="acme", quotas=Quotas(open_runs=2)))
    made = await served.admin.principals.create(CreatePrincipal(id="boss", role="admin", namespaces=["acme"]))
    async with Client(served.url, made.token) as client:
        client.token = made.token  # type: ignore[attr-defined]
        yield client


async def test_a_tenant_is_refused_over_its_quota_and_others_are_not(served, acme) -> None:
    for _ in range(2):
        await acme.start("ask")
    status, headers, body = await served.call("POST", "/v1/runs", token=acme.token, json={"workflow": "ask"})
    assert status == 429
    assert headers["Retry-After"] == "1"
    problem = json.loads(body)
    assert problem["reason"] == "RATE_LIMIT"
    assert "'acme' has used up its quota open_runs" in problem["error"]
    assert (await served.admin.start("greet", "a")).created
    usage = (await acme.namespaces.show("acme")).usage
    assert (usage.open_runs, usage.starts_today, usage.stored_bytes) == (2, 2, None)
    # Nobody asks how many were started where nothing bounds them: that is said, and is not 0.
    assert (await served.admin.namespaces.show("default")).usage.starts_today is None
    counted = served.service.metrics.render().decode()
    assert 'rco_quota_refusals_total{namespace="acme",quota="open_runs"} 1' in counted
    said = b"".join([piece async for piece in served.admin.export_audit()]).decode()
    assert "quota open_runs" in said


async def test_what_is_lifted_is_let_in_at_once(served, acme) -> None:
    await served.admin.namespaces.set("acme", SetNamespace(quotas={"open_runs": 0, "starts_per_day": 9}))
    with pytest.raises(Overloaded, match="open_runs"):
        await acme.start("ask")
    view = await served.admin.namespaces.set("acme", SetNamespace(quotas={"open_runs": None}))
    assert view.quotas == Quotas(starts_per_day=9)
    run = await acme.start("ask")
    view = await served.admin.namespaces.set("acme", SetNamespace(state="closed"))
    assert view.state == "closed"
    status, _, body = await served.call("POST", "/v1/runs", token=acme.token, json={"workflow": "ask"})
    assert (status, json.loads(body)["reason"]) == (403, "POLICY_BLOCKED")
    # What was accepted goes on.
    await acme.signal(run.id, "answer", 42)
    assert (await acme.wait(run.id)).state == "completed"


async def test_a_signal_that_is_too_large_is_refused(served, acme) -> None:
    run = await acme.start("ask")
    await served.admin.namespaces.set("acme", SetNamespace(quotas={"payload_bytes": 20}))
    with pytest.raises(RcoError, match="payload_bytes"):
        await acme.signal(run.id, "answer", "x" * 30)
    await acme.signal(run.id, "answer", "x")
    assert (await acme.wait(run.id)).state == "completed"


async def test_who_may_do_what(served, acme) -> None:
    with pytest.raises(Forbidden):
        await acme.namespaces.set("acme", SetNamespace(state="closed"))
    with pytest.raises(Forbidden):
        await acme.namespaces.create(CreateNamespace(name="mine"))
    with pytest.raises(NotFound):
        await acme.namespaces.show("default")
    assert [one.name for one in (await acme.namespaces.list()).items] == ["acme"]
    assert [one.name for one in (await served.admin.namespaces.list()).items] == ["acme", "default"]
    with pytest.raises(Conflict):
        await served.admin.namespaces.create(CreateNamespace(name="acme"))
    with pytest.raises(NotFound):
        await served.admin.namespaces.set("nobody", SetNamespace(state="closed"))


async def test_a_namespace_that_is_not_there_is_not_entered(served) -> None:
    status, _, body = await served.call("GET", "/v1/runs", headers={"X-Rco-Namespace": "nobody"})
    assert (status, json.loads(body)["reason"]) == (404, "NOT_FOUND")
    with pytest.raises(NotFound):
        await served.admin.principals.create(CreatePrincipal(id="p", role="viewer", namespaces=["nobody"]))


async def test_what_is_declared_is_changed_in_the_configuration(served) -> None:
    from rco.operations.namespaces import declare_namespaces

    desk = served.service._desk
    await declare_namespaces(desk, {"shop": Quotas(open_runs=1)})
    await declare_namespaces(desk, {"shop": Quotas(open_runs=1)})
    view = await served.admin.namespaces.show("shop")
    assert (view.origin, view.quotas) == ("config", Quotas(open_runs=1))
    with pytest.raises(Conflict, match="declared"):
        await served.admin.namespaces.set("shop", SetNamespace(state="closed"))
    await declare_namespaces(desk, {})
    assert (await served.admin.namespaces.show("shop")).origin == "api"
    assert (await served.admin.namespaces.set("shop", SetNamespace(state="closed"))).state == "closed"


@pytest.mark.parametrize(
    "body",
    [{"name": "A"}, {"name": "a" * 64}, {"name": "a", "quotas": {"open_runs": -1}}, {"name": "a", "quotas": {"no": 1}}],
)
async def test_what_does_not_fit_is_refused(served, body: dict) -> None:
    assert (await served.call("POST", "/v1/namespaces", json=body))[0] == 400
    assert (await served.call("PATCH", "/v1/namespaces/default", json={"quotas": {"no": 1}}))[0] == 400

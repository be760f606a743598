"""Versions of the application: who has which, what is pinned to them, and moving runs from one to another."""

from __future__ import annotations

import msgspec

from rco.errors import ConfigInvalid, Misuse, NotFound
from rco.kit.clock import iso
from rco.kit.ids import id_text
from rco.model.principal import Principal, Role
from rco.model.version import is_name, pin
from rco.model.wire import StartedRun
from rco.model.wire_versions import MoveView, NodeOfVersion, StayedRun, VersionPage, VersionView
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.paging_ask import paged_run, pages_of, start_paged, started_before
from rco.operations.version_run import MOVE, STAYED_MAX, MoveAt, MoveSpec
from rco.operations.view import run_detail, state_of
from rco.store.contract.versions import Versions

__all__ = ["announce", "list_versions", "show_move", "start_move"]


async def announce(store: Versions, node: str, versions: dict[str, str], current: str, at_us: int) -> None:
    """Say which versions this node has. Raises ``ConfigInvalid`` when a name stands for other code and runs are pinned
    to it: they would go on with code that they did not begin with."""
    others = await store.announce(node, versions, current, at_us)
    for name, digest in sorted(others.items()):
        raise ConfigInvalid(
            f"version {name!r} stands for other code (digest {digest[:12]}, here {versions[name][:12]}), and runs are "
            "pinned to it",
            cure="Give this code a name of its own, and move the runs to it: rco version move.",
            key="app_version",
        )


async def list_versions(desk: Desk, principal: Principal) -> VersionPage:
    """Every version that a node has or an open run of the principal's namespace is pinned to. Needs the viewer's role.
    A look at each open run."""
    require(principal, Role.VIEWER)
    counts = {one.version: one.count for one in await desk.reader.count_versions(principal.namespace)}
    nodes: dict[str, list[NodeOfVersion]] = {}
    anything: list[NodeOfVersion] = []
    for one in await desk.reader.version_nodes():
        if one.alive and one.version:
            nodes.setdefault(one.version, []).append(NodeOfVersion(node=one.node, current=one.current))
        elif one.alive:
            anything.append(NodeOfVersion(node=one.node, current=False, every=True))
    digests = await desk.reader.known_versions()
    items = [
        VersionView(
            name=name,
            digest=digests.get(name, ""),
            current=any(node.current for node in nodes.get(name, ())),
            nodes=[*nodes.get(name, []), *anything],
            open_runs=counts.get(name, 0),
        )
        for name in sorted(counts.keys() | nodes.keys())
    ]
    return VersionPage(items=items)


async def start_move(desk: Desk, principal: Principal, spec: MoveSpec, key: str | None = None) -> StartedRun:
    """Begin a verified move of the runs that are there now; durable when this returns. Needs the operator's role.

    It is a run: pause, resume and cancel it as one. The same ``key`` with the same request is the same move. Raises
    ``Misuse`` for names that are none, ``NotFound`` when the new version is not on this node.
    """
    require(principal, Role.OPERATOR)
    for name in (spec.start, spec.to):
        if not is_name(name):
            raise Misuse(f"{name!r} is no name of a version.", cure="See `rco version list`.")
    if spec.start == spec.to:
        raise Misuse(f"from and to are both {spec.to!r}.", cure="Name two versions.")
    if not desk.engine.has_version(pin(spec.to)):
        there = [one.node for one in await desk.reader.version_nodes() if one.version == spec.to and one.alive]
        raise NotFound(
            f"version {spec.to!r} is not on this node.",
            cure=f"Ask a node that has it: {', '.join(there)}." if there else "Start a node with it first.",
        )
    key = None if key is None else f"move:{key}"
    if (known := await started_before(desk, principal, key)) is not None:
        return known
    given = msgspec.structs.replace(spec, namespace=principal.namespace, before=desk.ids.uuid7())
    return await start_paged(desk, principal, MOVE, given, key)


async def show_move(desk: Desk, principal: Principal, run_id: bytes) -> MoveView:
    """How far a move is, and which runs stayed. Needs the viewer's role; ``NotFound`` for a run that is none."""
    row, records = await paged_run(desk, principal, run_id, MOVE, "move")
    spec = msgspec.convert(records[0].body["input"], MoveSpec)
    pages = [msgspec.convert(page, MoveAt) for page in pages_of(records)]
    at = pages[-1] if pages else MoveAt()
    stayed = [one for page in pages for one in page.stayed][:STAYED_MAX]
    _, error = run_detail(row)
    return MoveView(
        id=id_text(run_id),
        start=spec.start,
        to=spec.to,
        preview=spec.preview,
        workflow=spec.workflow,
        state=state_of(row),
        count=at.count if pages else None,
        tried=at.tried,
        fit=at.fit,
        misfit=at.misfit,
        busy=at.busy,
        gone=at.gone,
        ended=at.ended,
        stayed=[msgspec.convert(msgspec.structs.asdict(one), StayedRun) for one in stayed],
        opened_at=iso(row.opened_us),
        closed_at=iso(row.closed_us) if row.closed_us is not None else None,
        error=error,
    )

"""Versions of the application: who has which, what is pinned to them, and moving runs from one to another."""

from __future__ import annotations

import msgspec

from rco.engine.ask import StartAsk
from rco.errors import ConfigInvalid, Misuse, NotFound
from rco.kit.clock import iso
from rco.kit.ids import id_text
from rco.model.journal import Kind, decode_segment
from rco.model.principal import Principal, Role
from rco.model.version import is_name, pin
from rco.model.wire import StartedRun
from rco.model.wire_versions import MoveView, NodeOfVersion, StayedRun, VersionPage, VersionView
from rco.operations.access import require
from rco.operations.command import find_run
from rco.operations.desk import Desk
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
    if key is not None and (known := await desk.reader.key_holder(principal.namespace, f"move:{key}")) is not None:
        return StartedRun(id=id_text(known), created=False)
    given = msgspec.structs.replace(spec, namespace=principal.namespace, before=desk.ids.uuid7())
    started = await desk.engine.start_run(
        StartAsk(
            workflow=MOVE,
            input=msgspec.to_builtins(given, builtin_types=(bytes,)),
            key=None if key is None else f"move:{key}",
            namespace=principal.namespace,
            actor=f"principal:{principal.principal_id}",
            corr_id=desk.ids.ulid(),
        )
    )
    return StartedRun(id=id_text(started.run_id), created=started.created)


async def show_move(desk: Desk, principal: Principal, run_id: bytes) -> MoveView:
    """How far a move is, and which runs stayed. Needs the viewer's role; ``NotFound`` for a run that is none."""
    require(principal, Role.VIEWER)
    row = await find_run(desk, principal, run_id)
    if row.workflow != MOVE:
        raise NotFound(f"run {id_text(run_id)} is no move.", cure="See `rco run show`.")
    records = [record for segment in await desk.reader.journal(run_id) for record in decode_segment(segment.data)]
    spec = msgspec.convert(records[0].body["input"], MoveSpec)
    pages = [
        msgspec.convert(record.body[1], MoveAt) for record in records if record.kind == Kind.STEP_END and record.body[0]
    ]
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

"""Bodies of /v1/versions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from rco.model.body import Ask, Name, Reason, View
from rco.model.version import NAME_MAX
from rco.model.wire import State

__all__ = ["MoveRuns", "MoveView", "NodeOfVersion", "StayedRun", "VersionPage", "VersionView"]

VersionName = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]


class NodeOfVersion(View, frozen=True, kw_only=True):
    """A living node that has the version. ``current``: new runs begin with it there. ``every``: it has no versions, and
    drives every run by the code it has."""

    node: str
    current: bool
    every: bool = False


class VersionView(View, frozen=True, kw_only=True):
    """One version of the application. Without nodes its runs wait. ``digest``: of the code that it stands for."""

    name: str
    digest: str
    current: bool
    nodes: list[NodeOfVersion]
    open_runs: int


class VersionPage(View, frozen=True, kw_only=True):
    """Every version that a living node has or an open run is pinned to, by name."""

    items: list[VersionView]


class MoveRuns(Ask, frozen=True, kw_only=True, rename={"start": "from"}):
    """Replay every open run of version ``from`` on the code of version ``to`` without doing anything, and move those
    that fit, ``rate_per_s`` at most; ``preview``: move none. The same ``key`` is the same move."""

    start: VersionName
    to: VersionName
    workflow: Name | None = None
    rate_per_s: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    preview: bool = False
    reason: Reason = ""
    key: Name | None = None


class StayedRun(View, frozen=True, kw_only=True):
    """A run that was not moved. ``misfit``: ``diff`` has what was recorded, and what the code asks for instead;
    ``busy``: it did not come to rest while it was tried, so ask again."""

    run_id: str
    workflow: str
    state: State
    status: Literal["misfit", "busy"]
    why: str
    diff: Any = None


class MoveView(View, frozen=True, kw_only=True, rename={"start": "from"}):
    """How far a move is. ``fit``: those that were moved, or in a preview would be; ``gone``: closed meanwhile.
    ``stayed``: the first thousand that were not moved."""

    id: str
    start: str
    to: str
    preview: bool
    workflow: str | None
    state: State
    count: int | None
    tried: int
    fit: int
    misfit: int
    busy: int
    gone: int
    ended: str
    stayed: list[StayedRun]
    opened_at: str
    closed_at: str | None = None
    error: dict[str, Any] | None = None

"""From file, environment and flags to one ``Settings``. All of it takes effect or none of it."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from rco.bridge.contract import ProviderSettings
from rco.config.bind import Binder, field_kinds
from rco.config.check import check_settings
from rco.config.settings import MEMORY, Settings
from rco.config.source import SOURCE_BYTES_MAX, Node, parse_yaml, plain_scalar
from rco.datasource.options import Database, Outbox
from rco.errors import ConfigInvalid
from rco.model.schedule import ScheduleSpec
from rco.model.target import Target

__all__ = [
    "PREFIX",
    "SECTIONS",
    "Loaded",
    "finish",
    "first_of",
    "load",
    "nested",
    "problems",
    "put",
    "read_source",
    "typed",
]

PREFIX = "RCO_"
NAMED: dict[str, type] = {
    "providers": ProviderSettings,
    "targets": Target,
    "schedules": ScheduleSpec,
    "databases": Database,
    "outboxes": Outbox,
}
"""Sections whose keys are names that the operator chose."""
SECTIONS = tuple(
    name
    for name, (_, kind) in field_kinds(Settings).items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
)
"""Sections whose single values may come from the environment: ``RCO_SERVER_BIND_ADDR`` is ``server.bind_addr``."""
ALIASES = {"limits": {"max_body_bytes": "body_limit"}}
"""Other names that sources of these settings use."""


class Loaded(msgspec.Struct, frozen=True):
    """The settings and, for every key that was given, where: ``FILE:LINE``, a variable or a flag."""

    settings: Settings
    origins: dict[str, str]


def load(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Loaded:
    """The settings from ``path`` (none: no file), ``RCO_*`` variables over it, and ``flags`` over both.

    ``flags`` maps dotted keys (``server.bind_addr``) to text or values; ``None`` means not given. Raises
    ``ConfigInvalid`` for the first problem by line, saying how many more there are. Reads nothing but ``path``.
    """
    return first_of(*_load(path, environ, flags or {}), "rco config check")


def first_of(loaded: Loaded | None, found: list[ConfigInvalid], lister: str) -> Loaded:
    """``loaded``, or the first problem raised, saying how many more ``lister`` lists."""
    if found or loaded is None:
        first = found[0]
        more = f"({len(found) - 1} more; {lister} lists all.)" if len(found) > 1 else ""
        if more:
            first.cure = f"{first.cure} {more}".strip()
        raise first
    return loaded


def problems(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> list[ConfigInvalid]:
    """Everything that is wrong, by line. Empty when ``load`` would succeed."""
    try:
        return _load(path, environ, flags or {})[1]
    except ConfigInvalid as problem:
        return [problem]


def _load(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]
) -> tuple[Loaded | None, list[ConfigInvalid]]:
    tree = parse_yaml(read_source(path), str(path)) if path is not None else Node({}, 0, "defaults")
    if tree.value is None:
        tree = Node({}, tree.line, tree.origin)
    if not isinstance(tree.value, dict):
        raise ConfigInvalid("the file is not keys and values", file=tree.origin, line=tree.line)
    binder = Binder()
    _overlay_environ(tree.value, environ, binder)
    _overlay_flags(tree.value, flags)
    return finish(tree, binder)


def finish(tree: Node, binder: Binder) -> tuple[Loaded | None, list[ConfigInvalid]]:
    """The settings of a tree over which everything was laid, and everything that is wrong with it."""
    for section, names in ALIASES.items():
        inner = tree.value.get(section)
        for other, name in names.items():
            if inner is not None and isinstance(inner.value, dict) and other in inner.value:
                inner.value.setdefault(name, inner.value.pop(other))
    named = {
        section: binder.named(kind, tree.value.pop(section), section) if section in tree.value else {}
        for section, kind in NAMED.items()
    }
    settings = binder.struct(Settings, tree, "", given=named)
    if settings is not None:
        settings = _settle(settings)
        check_settings(settings, lambda key, message, cure: binder.problem(key, message, cure=cure))
    origins = {
        key: f"{node.origin}:{node.line}" if node.line else node.origin
        for key, node in binder.places.items()
        if key and not isinstance(node.value, dict)
    }
    found = sorted(binder.problems, key=lambda problem: (problem.file, problem.line, problem.key))
    return (Loaded(settings, origins) if settings is not None and not found else None), found


def read_source(path: Path) -> bytes:
    """The bytes of the file, as far as any source is read. Raises ``ConfigInvalid``."""
    try:
        with path.open("rb") as file:
            return file.read(SOURCE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigInvalid(
            f"cannot be read: {error.strerror}", cure="Check the path given with --config.", file=str(path)
        ) from None


def _settle(settings: Settings) -> Settings:
    if settings.store.path:
        return settings
    path = MEMORY if settings.amnesia.enabled else str(Path(settings.data_dir) / "rco.db")
    return msgspec.structs.replace(settings, store=msgspec.structs.replace(settings.store, path=path))


def _overlay_environ(tree: dict[str, Node], environ: Mapping[str, str], binder: Binder) -> None:
    top = {name: kind for name, (_, kind) in field_kinds(Settings).items()}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX):
            continue
        words = variable.removeprefix(PREFIX).lower()
        if top.get(words) is str:
            tree[words] = Node(text, 0, variable)
            continue
        # Others may use the prefix too (Kubernetes sets RCO_SERVICE_HOST for a service called rco), so only what
        # begins with one of our sections is ours to be strict about.
        section = next((name for name in SECTIONS if words.startswith(f"{name}_")), None)
        if section is None:
            continue
        key = words.removeprefix(f"{section}_")
        known = field_kinds(top[section])
        inner = next((name for name in nested(known) if key.startswith(f"{name}_")), None)
        if inner is not None:
            section, key, known = f"{section}.{inner}", key.removeprefix(f"{inner}_"), nested(known)[inner]
        if key not in known:
            binder.places[section] = Node(None, 0, variable)
            binder.unknown(f"{section}.{key}", key, list(known))
            continue
        put(tree, section, key, Node(typed(text, known[key][1]), 0, variable))


def _overlay_flags(tree: dict[str, Node], flags: Mapping[str, Any]) -> None:
    for dotted, value in flags.items():
        if value is None:
            continue
        section, _, key = dotted.rpartition(".")
        if section:
            put(tree, section, key, Node(value, 0, f"flag {dotted}"))
        else:
            tree[key] = Node(value, 0, f"flag {dotted}")


def nested(known: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of a section's fields those that are sections themselves, each with its own."""
    return {
        name: field_kinds(kind)
        for name, (_, kind) in known.items()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    }


def put(tree: dict[str, Node], section: str, key: str, node: Node) -> None:
    """Lay ``node`` over what is there under ``section`` (dotted, or empty for the top) and ``key``."""
    for name in section.split(".") if section else ():
        held = tree.get(name)
        if held is None or held.value is None:
            tree[name] = held = Node({}, 0, node.origin)
        if not isinstance(held.value, dict):  # the binder reports it
            return
        tree = held.value
    tree[key] = node


def typed(text: str, kind: Any) -> Any:
    """The text of a variable as a file would hold it for a setting of this kind."""
    bare = typing.get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    if bare in (str,) or typing.get_origin(bare) is typing.Literal:
        return text
    return plain_scalar(text)

"""The configuration of ``svc-interop``: TOML, in the words of its contract, for the same settings.

``bind_addr`` at the top is ``server.bind_addr``, ``auth.capability_ttl`` is ``capability.ttl``; whatever has no word of
its own there is written as everywhere. Variables are ``SVC_INTEROP_*``, flags go over them. Messages use the words of
the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rco.config.bind import Binder, field_kinds
from rco.config.load import SECTIONS, Loaded, finish, first_of, nested, put, read_source, typed
from rco.config.settings import Settings
from rco.config.source import Node
from rco.config.toml_source import parse_toml
from rco.errors import ConfigInvalid

__all__ = ["PREFIX", "WORDS", "load_interop", "outward", "problems_interop"]

PREFIX = "SVC_INTEROP_"
_SERVER = ("bind_addr", "metrics_addr", "max_conns", "read_timeout", "idle_timeout", "drain_timeout", "trusted_proxies")
WORDS: dict[str, str] = {
    **{name: f"server.{name}" for name in _SERVER},
    "write_timeout": "server.handler_timeout",
    "auth.capability_ttl": "capability.ttl",
    "auth.enforce": "capability.enforce",
}
"""Words of the file, and the settings they stand for."""
_SHORT = {
    "max_rps": "limits.max_rps",
    "burst_rps": "limits.burst_rps",
    "body_limit": "limits.body_limit",
    "max_body_bytes": "limits.max_body_bytes",
    "max_ratio": "decompression.max_ratio",
    "log_level": "logging.level",
}
"""Variables without their section."""
_FIXED: dict[str, tuple[Any, str]] = {
    "hash.internal": ("blake3-256", "Addresses, claims and evidence are BLAKE3-256; nothing else is written."),
}
"""What may be written but not chosen."""
_OUTWARD = {inner: outer for outer, inner in WORDS.items()}
_OTHERS = ("service_", "port")
"""Kubernetes sets ``SVC_INTEROP_SERVICE_HOST`` and ``SVC_INTEROP_PORT...`` for a service of this name."""
_RUST_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "error": "error"}


def load_interop(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Loaded:
    """The settings from the TOML file ``path``, ``SVC_INTEROP_*`` over it, ``flags`` (words of the file) over both.

    A plain ``RUST_LOG`` (``info``) is the level of the log where no variable of ours says it. Raises ``ConfigInvalid``
    for the first problem by line.
    """
    return first_of(*_load(path, environ, flags or {}), "svc-interop config check")


def problems_interop(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> list[ConfigInvalid]:
    """Everything that is wrong, by line. Empty when ``load_interop`` would succeed."""
    try:
        return _load(path, environ, flags or {})[1]
    except ConfigInvalid as problem:
        return [problem]


def outward(key: str) -> str:
    """A setting's key in the words of the file."""
    return _OUTWARD.get(key, key)


class _Words(Binder):
    """A binder that speaks the words of this file."""

    def problem(self, key: str, message: str, *, cure: str = "") -> None:
        super().problem(key, message, cure=cure)
        last = self.problems[-1]
        outer = outward(key)
        if outer != key:
            self.problems[-1] = ConfigInvalid(message, cure=cure, file=last.file, line=last.line, key=outer)

    def unknown(self, dotted: str, name: str, known: list[str]) -> None:
        if "." not in dotted:
            tops = {word.partition(".")[0] for word in (*WORDS, *_FIXED)}
            known = sorted({*known, *tops} - {"server", "app"})
        super().unknown(dotted, name, known)


def _load(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]
) -> tuple[Loaded | None, list[ConfigInvalid]]:
    tree = parse_toml(read_source(path), str(path)) if path is not None else Node({}, 0, "defaults")
    binder = _Words()
    top: dict[str, Node] = tree.value
    _overlay(top, environ, binder)
    for word, value in flags.items():
        if value is not None:
            put(top, *_split(_SHORT.get(word, word)), Node(value, 0, f"flag --{word.replace('_', '-')}"))
    _translate(top, binder)
    limit = top.get("limits")
    if limit is not None and isinstance(limit.value, dict):
        _limit_providers(top, limit.value.get("body_limit") or limit.value.get("max_body_bytes"))
    return finish(tree, binder)


def _split(dotted: str) -> tuple[str, str]:
    section, _, key = dotted.rpartition(".")
    return section, key


def _translate(top: dict[str, Node], binder: Binder) -> None:
    for word, inner in WORDS.items():
        node = _take(top, word)
        if node is not None:
            put(top, *_split(inner), node)
    for word, (only, why) in _FIXED.items():
        node = _take(top, word)
        if node is not None and node.value != only:
            binder.places[word] = node
            binder.problem(word, "cannot be chosen", cure=why)
    for section in ("auth", *(word.partition(".")[0] for word in _FIXED)):
        held = top.pop(section, None)
        for name, node in held.value.items() if held is not None and isinstance(held.value, dict) else ():
            binder.places[f"{section}.{name}"] = node
            known = [word.partition(".")[2] for word in (*WORDS, *_FIXED) if word.startswith(f"{section}.")]
            binder.unknown(f"{section}.{name}", name, known)


def _take(top: dict[str, Node], word: str) -> Node | None:
    section, key = _split(word)
    held: Any = top if not section else top[section].value if section in top else {}
    return held.pop(key, None) if isinstance(held, dict) else None


def _limit_providers(top: dict[str, Node], limit: Node | None) -> None:
    """``limits.body_limit`` is the limit of each provider that has none of its own."""
    providers = top.get("providers")
    if limit is None or providers is None or not isinstance(providers.value, dict):
        return
    for provider in providers.value.values():
        if isinstance(provider.value, dict):
            provider.value.setdefault("body_limit", limit)


def _overlay(top: dict[str, Node], environ: Mapping[str, str], binder: Binder) -> None:
    level = _RUST_LEVELS.get(environ.get("RUST_LOG", "").lower())
    if level is not None:
        put(top, "logging", "level", Node(level, 0, "RUST_LOG"))
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX):
            continue
        words = variable.removeprefix(PREFIX).lower()
        if words.startswith(_OTHERS):
            continue
        dotted = _dotted(words)
        if dotted is None:
            binder.places[words] = Node(None, 0, variable)
            binder.unknown(words, words, sorted({*WORDS, *_SHORT}))
            continue
        kind = _kind_of(WORDS.get(dotted, dotted))
        put(top, *_split(dotted), Node(typed(text, kind), 0, variable))


def _dotted(words: str) -> str | None:
    """The key that a variable without its prefix names, in the words of the file."""
    if words in WORDS:
        return words
    if words in _SHORT:
        return _SHORT[words]
    if words in ("data_dir",):
        return words
    for section in (*SECTIONS, "auth"):
        key = words.removeprefix(f"{section}_")
        if key == words:
            continue
        if section == "auth":
            return f"auth.{key}" if f"auth.{key}" in WORDS else None
        known = field_kinds(field_kinds(Settings)[section][1])
        if key in known:
            return f"{section}.{key}"
        for inner, below in nested(known).items():
            if key.removeprefix(f"{inner}_") in below:
                return f"{section}.{inner}.{key.removeprefix(f'{inner}_')}"
    return None


def _kind_of(dotted: str) -> Any:
    kind: Any = Settings
    for name in dotted.split("."):
        found = field_kinds(kind).get("body_limit" if name == "max_body_bytes" else name)
        if found is None:
            return str
        kind = found[1]
    return kind

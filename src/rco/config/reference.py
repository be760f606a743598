"""The reference of the configuration, made from the settings themselves: ``python -m rco.config.reference``."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from rco.config.bind import field_kinds
from rco.config.load import PREFIX, SECTIONS, nested
from rco.config.settings import Settings

__all__ = ["reference"]

_HEAD = """\
# The configuration

Made from the settings themselves; a test keeps it current. To renew it:
`python -m rco.config.reference > docs/reference/config.md`.

`rco-config.yaml`, or what `--config` names. `RCO_<SECTION>_<KEY>` in the environment goes over the file
(`RCO_STORE_LEASE_TTL=2s`), flags of a command over both. `rco config check` says what is wrong and where,
`rco config explain` where each value in effect comes from. Durations are written `250ms`, `5s`, `1m`, `2h`, `7d`, sizes
`512B`, `64KiB`, `1MiB`. Providers, targets and subscriptions are described by their how-to pages.
"""


def reference() -> str:
    """The page as Markdown, the same text at each call."""
    parts = [_HEAD]
    kinds = field_kinds(Settings)
    for section in SECTIONS:
        kind = kinds[section][1]
        said = _described(kind)
        parts.append(f"\n## {section}\n\n| key | default | variable | |\n| --- | --- | --- | --- |\n")
        known = field_kinds(kind)
        inner = nested(known)
        for name, (field, _) in known.items():
            if name not in inner:
                parts.append(_row(name, field, section, said))
        for name, below in inner.items():
            told = _described(known[name][1])
            parts += [_row(f"{name}.{key}", field, section, told) for key, (field, _) in below.items()]
    return "".join(parts)


def _row(key: str, field: msgspec.structs.FieldInfo, section: str, said: dict[str, str]) -> str:
    variable = f"{PREFIX}{section}_{key.replace('.', '_')}".upper()
    return f"| `{key}` | {_default(field)} | `{variable}` | {said.get(field.name, '')} |\n"


def _default(field: msgspec.structs.FieldInfo) -> str:
    value: Any = field.default
    if value in ("", None) or field.default is msgspec.NODEFAULT:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if field.name.endswith("_bytes"):
        return f"`{_largest(value, (('MiB', 1 << 20), ('KiB', 1 << 10), ('B', 1)))}`"
    if field.name.endswith("_s") and not field.name.endswith("_per_s"):
        return f"`{_largest(value, (('s', 1), ('ms', 0.001)))}`"
    return f"`{value}`" if isinstance(value, str) else f"`{value:g}`"


def _largest(value: float, units: tuple[tuple[str, float], ...]) -> str:
    for name, size in units:
        if value >= size and value / size == round(value / size):
            return f"{value / size:g}{name}"
    return f"{value:g}{units[-1][0]}"


def _described(kind: type[Any]) -> dict[str, str]:
    """The text that stands below each field in the source of ``kind`` and of what it extends."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one is not kind and not (one is not msgspec.Struct and issubclass(one, msgspec.Struct)):
            continue
        found.update(_below(one))
    return found


def _below(kind: type[Any]) -> Iterator[tuple[str, str]]:
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    body = typing.cast("ast.ClassDef", tree).body
    for field, text in itertools.pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, " ".join(said.split())


if __name__ == "__main__":
    sys.stdout.write(reference())

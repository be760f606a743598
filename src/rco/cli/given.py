"""Values given on the command line: JSON and durations, with errors that name the option."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from rco.errors import ConfigInvalid
from rco.kit.units import parse_duration_s

__all__ = ["INPUT_BYTES_MAX", "JsonText", "declared_attributes", "duration_s", "json_value"]

INPUT_BYTES_MAX = 1 << 20
JsonText = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""JSON; ``@FILE`` reads a file, ``-`` reads standard input."""


def duration_s(text: str, option: str) -> float:
    """Seconds from a duration. Raises ``ConfigInvalid`` that names the option."""
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise ConfigInvalid(str(error), key=option) from None


def json_value(text: str, option: str) -> Any:
    """The value of a JSON argument. Raises ``ConfigInvalid`` that names the option and shows no part of the value."""
    try:
        if text == "-":
            raw = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
        elif text.startswith("@"):
            with Path(text[1:]).open("rb") as file:
                raw = file.read(INPUT_BYTES_MAX + 1)
        else:
            raw = text.encode(errors="surrogateescape")
    except OSError as error:
        raise ConfigInvalid(f"{text[1:]} cannot be read: {error.strerror}", key=option) from None
    if len(raw) > INPUT_BYTES_MAX:
        raise ConfigInvalid(
            f"over {INPUT_BYTES_MAX} bytes", cure="Store it elsewhere and send a reference.", key=option
        )
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigInvalid(f"not JSON: {error}", cure="""Quote strings, e.g. '"text"'.""", key=option) from None


def declared_attributes(given: list[str]) -> dict[str, str | bool | int | float]:
    """Attributes of a start, from NAME=VALUE. Raises ``ConfigInvalid``."""
    found: dict[str, str | bool | int | float] = {}
    for one in given:
        name, sign, text = one.partition("=")
        if not sign:
            raise ConfigInvalid(f"{one!r} is not NAME=VALUE", key="--attribute")
        try:
            value = msgspec.json.decode(text, type=bool | int | float)
        except msgspec.MsgspecError:
            found[name] = text
        else:
            found[name] = value
    return found

"""Structured fields (RFC 8941), as much as signatures need: dictionaries of inner lists and of byte sequences.

Strict: what is not exactly in the grammar raises ``ValueError``, and nothing else is raised.
"""

from __future__ import annotations

import re

import msgspec

from rco.bridge.public_keys import decode_signature

__all__ = ["Bare", "InnerList", "Item", "parse_byte_dictionary", "parse_inner_lists"]

Bare = str | int | bool
_KEY = re.compile(r"[a-z*][a-z0-9_.*-]{0,63}")
_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){0,512})"')
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]{0,127}")
_BOOLEAN = re.compile(r"\?[01]")
_BYTES = re.compile(r":([A-Za-z0-9+/=]{0,2048}):")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
MEMBERS_CAP = 8
ITEMS_CAP = 32


class Item(msgspec.Struct, frozen=True):
    """One text of an inner list with its parameters. ``text`` is how it stands in the field."""

    name: str
    parameters: dict[str, Bare]
    text: str


class InnerList(msgspec.Struct, frozen=True):
    """An inner list with its parameters. ``text`` is how it stands in the field, parameters included."""

    items: list[Item]
    parameters: dict[str, Bare]
    text: str


class _Reader:
    """A position in a text."""

    def __init__(self, raw: bytes) -> None:
        if not raw.isascii():
            raise ValueError("not ASCII")
        self.text, self.at = raw.decode("ascii"), 0

    def take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(f"unexpected text at {self.at}")
        self.at = found.end()
        return found[found.re.groups]

    def is_at(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def skip(self, text: str) -> None:
        if not self.is_at(text):
            raise ValueError(f"{text!r} is missing at {self.at}")
        self.at += len(text)

    def skip_spaces(self) -> None:
        while self.is_at(" "):
            self.at += 1

    @property
    def ended(self) -> bool:
        return self.at == len(self.text)


def _bare(reader: _Reader) -> Bare:
    if reader.is_at('"'):
        return re.sub(r"\\(.)", r"\1", reader.take(_STRING))
    if reader.is_at("?"):
        return reader.take(_BOOLEAN) == "?1"
    if reader.text[reader.at : reader.at + 1].isalpha():
        return reader.take(_TOKEN)
    return int(reader.take(_INTEGER))


def _parameters(reader: _Reader) -> dict[str, Bare]:
    found: dict[str, Bare] = {}
    while reader.is_at(";"):
        reader.skip(";")
        reader.skip_spaces()
        key = reader.take(_KEY)
        if key in found or len(found) >= ITEMS_CAP:
            raise ValueError(f"{key} comes twice, or there are too many")
        found[key] = True
        if reader.is_at("="):
            reader.skip("=")
            found[key] = _bare(reader)
    return found


def _inner_list(reader: _Reader) -> InnerList:
    began = reader.at
    reader.skip("(")
    items: list[Item] = []
    reader.skip_spaces()
    while not reader.is_at(")"):
        at = reader.at
        if not reader.is_at('"') or len(items) >= ITEMS_CAP:
            raise ValueError("a text is due, or there are too many")
        name = _bare(reader)
        items.append(Item(str(name), _parameters(reader), reader.text[at : reader.at]))
        if not reader.is_at(")"):
            reader.skip(" ")
            reader.skip_spaces()
    reader.skip(")")
    parameters = _parameters(reader)
    return InnerList(items, parameters, reader.text[began : reader.at])


def parse_inner_lists(raw: bytes) -> dict[str, InnerList]:
    """A dictionary whose members are all inner lists, such as ``Signature-Input``. Raises ``ValueError``, also for
    more than 8 members, a key that comes twice and more than 32 items or parameters."""
    reader, found = _Reader(raw), dict[str, InnerList]()
    while True:
        key = reader.take(_KEY)
        reader.skip("=")
        if key in found or len(found) >= MEMBERS_CAP:
            raise ValueError(f"{key} comes twice, or there are too many")
        found[key] = _inner_list(reader)
        if reader.ended:
            return found
        reader.take(_COMMA)


def parse_byte_dictionary(raw: bytes) -> dict[str, bytes]:
    """A dictionary whose members are all byte sequences, such as ``Signature`` and ``Content-Digest``. Raises
    ``ValueError`` as above, and for base64 that is not the one text of its bytes."""
    reader, found = _Reader(raw), dict[str, bytes]()
    while True:
        key = reader.take(_KEY)
        reader.skip("=")
        value = decode_signature(reader.take(_BYTES).encode(), base64=True)
        if value is None or key in found or len(found) >= MEMBERS_CAP:
            raise ValueError(f"{key} is not base64, comes twice, or there are too many")
        found[key] = value
        if reader.ended:
            return found
        reader.take(_COMMA)

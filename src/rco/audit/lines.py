"""The export format ``rco-audit/1``: JSON lines, each in one exact form.

First a header, then one line per link in order, each followed by the journal segments of its commit where the export
holds them. Where several connections write, each has a chain of its own: the header names them, and their links follow
chain by chain, told apart by their ``writer``. Digests are lower-case hexadecimal, data is base64. A line that is not
byte for byte what these structures encode to is refused, so nothing can be added beside what is hashed.
"""

from __future__ import annotations

import msgspec

from rco.audit.link import GENESIS

__all__ = ["FORMAT", "MAX_LINE_BYTES", "ChainSpan", "Header", "JournalLine", "SealLine", "decode_line", "encode_line"]

FORMAT = "rco-audit/1"
MAX_LINE_BYTES = 32 << 20
"""The longest line that is written or read."""


class ChainSpan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chain of several in an export: its links ``first`` to ``last``, and the hash of the last."""

    chain: str
    first: int
    last: int
    head: str


class Header(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="line", tag="header"
):
    """What the export says of itself: links ``first`` to ``last``, and the hash of the last.

    An empty chain is ``first`` 1, ``last`` 0. ``run`` names the run whose proof this is; then only its segments are in.
    With several ``chains``, ``first`` is 1, ``last`` the number of links in all, and ``head`` the hash over the heads
    (``rco.audit.link.heads_hash``).
    """

    format: str
    first: int
    last: int
    head: str = GENESIS.hex()
    journal: bool = False
    run: str | None = None
    chains: list[ChainSpan] = []


class SealLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="seal"):
    """One link. Everything but ``hash`` is what ``hash`` is made of."""

    n: int
    writer: str
    epoch: int
    at_us: int
    prev: str
    hash: str
    leaves: list[str]
    decisions: msgspec.Raw
    """The canonical JSON array, verbatim."""


class JournalLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="journal"):
    """One journal segment, after the link of the commit ``n`` that wrote it."""

    n: int
    run: str
    first_seq: int
    data: bytes


Line = Header | SealLine | JournalLine
_decode = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode


def encode_line(line: Line) -> bytes:
    """The line with its line feed. Raises ``ValueError`` when it would be longer than ``MAX_LINE_BYTES``."""
    text = _encode(line) + b"\n"
    if len(text) > MAX_LINE_BYTES:
        raise ValueError(f"a line of {len(text)} bytes; no verifier would read more than {MAX_LINE_BYTES}")
    return text


def decode_line(text: bytes) -> Line:
    """The line in ``text``, with or without its line feed. Raises ``ValueError`` when not one in its exact form."""
    if len(text) > MAX_LINE_BYTES:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    bare = text.removesuffix(b"\n")
    try:
        line: Line = _decode(bare)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if _encode(line) != bare:
        raise ValueError("not in the exact form of this format (spacing, order of fields, case of digits or base64)")
    return line

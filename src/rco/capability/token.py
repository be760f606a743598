"""The token: a macaroon on keyed BLAKE3.

A macaroon (Birgisson et al., NDSS 2014) is an identifier, a list of caveats and a tag. Each caveat is folded into the
tag with the tag before it as the key, so that who holds a token can add a caveat and cannot take one away. ::

    rk    = derive_key("svc-interop 2026-11 macaroon root key v1", secret)
    tag_0 = keyed(rk,        lp("id") | lp(kid) | lp(id))
    tag_i = keyed(tag_{i-1}, lp("cav") | lp(caveat_i))

``lp`` is the length as 4 bytes big-endian and the bytes: what is signed can be read in one way only. There is no
location (it would be unauthenticated) and there are no third-party caveats. Nothing in here looks into a caveat.

Binary form, integers big-endian, at most ``TOKEN_BYTES_MAX``::

    "RCM" 0x01 | u8 length, kid | u8 length, id | u8 count | count times: u16 length, caveat | 32 bytes tag

The text form is ``rcap1_`` and the binary form in base64url without padding (RFC 4648 section 5). There is exactly one
spelling of each token: everything else is refused. ``vectors/capability`` has both, made by another implementation.
"""

from __future__ import annotations

import base64
import hmac
import re

from rco.errors import Misuse, Reason, Refused
from rco.kit.digest import DIGEST_BYTES, chained_digest, derived_key, keyed_digest

__all__ = [
    "CAVEATS_MAX",
    "CAVEAT_BYTES_MAX",
    "ROOT_CONTEXT",
    "TEXT_PREFIX",
    "TOKEN_BYTES_MAX",
    "Token",
    "attenuated",
    "decode",
    "encode",
    "minted",
    "parse",
    "proves",
    "root_key",
    "shown_id",
]

ROOT_CONTEXT = "svc-interop 2026-11 macaroon root key v1"
TEXT_PREFIX = "rcap1_"
TOKEN_BYTES_MAX = 4096
CAVEATS_MAX = 32
CAVEAT_BYTES_MAX = 2048
_TEXT_MAX = len(TEXT_PREFIX) + (TOKEN_BYTES_MAX * 4 + 2) // 3
_MAGIC = b"RCM\x01"
_FIXED_BYTES = len(_MAGIC) + 3 + DIGEST_BYTES
_KID = re.compile(rb"[a-z0-9][a-z0-9._-]{0,31}")
_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TEXT = re.compile(r"[A-Za-z0-9_-]+")
_ID_HEAD = (2).to_bytes(4, "big") + b"id"
_CAV_HEAD = (3).to_bytes(4, "big") + b"cav"


class Token:
    """A capability as it travels. It is a secret: whoever has it has its rights. ``repr`` leaves the tag out."""

    __slots__ = ("caveats", "id", "kid", "tag")

    def __init__(self, kid: str, id: str, caveats: tuple[bytes, ...], tag: bytes) -> None:
        self.kid, self.id, self.caveats, self.tag = kid, id, caveats, tag

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and encode(self) == encode(other)

    def __hash__(self) -> int:
        return hash((self.kid, self.id, self.caveats))

    def __repr__(self) -> str:
        return f"Token(kid={self.kid!r}, id={shown_id(self.id)!r}, {len(self.caveats)} caveats)"

    def __str__(self) -> str:
        """The text form."""
        return TEXT_PREFIX + base64.urlsafe_b64encode(encode(self)).rstrip(b"=").decode()


class _Made(Token):
    """A token made here. Its tag is made when somebody first looks at it: what an event becomes hardly ever leaves the
    process, and the tag is what proves a token to a stranger to it."""

    __slots__ = ("_made", "_rk")

    def __init__(self, rk: bytes, kid: str, id: str, caveats: tuple[bytes, ...]) -> None:
        self.kid, self.id, self.caveats = kid, id, caveats
        self._rk, self._made = rk, b""

    @property
    def tag(self) -> bytes:  # type: ignore[override]
        if not self._made:
            self._made = _chained(_first(self._rk, self.kid.encode(), self.id.encode()), self.caveats)
        return self._made


def shown_id(id: str) -> str:
    """An identifier as logs and evidence show it: enough to recognise it, not all of it."""
    return id if len(id) <= 12 else f"{id[:12]}..."


def root_key(secret: bytes) -> bytes:
    """The key that tokens are minted with, from a secret of exactly 32 bytes. Raises ``ValueError``."""
    if len(secret) != DIGEST_BYTES:
        raise ValueError(f"a root secret of {len(secret)} bytes; {DIGEST_BYTES} are needed")
    return derived_key(ROOT_CONTEXT, secret)


def _first(rk: bytes, kid: bytes, id: bytes) -> bytes:
    return keyed_digest(rk, _ID_HEAD + len(kid).to_bytes(4, "big") + kid + len(id).to_bytes(4, "big") + id)


def _chained(tag: bytes, caveats: tuple[bytes, ...]) -> bytes:
    return chained_digest(tag, [_CAV_HEAD + len(caveat).to_bytes(4, "big") + caveat for caveat in caveats])


def minted(rk: bytes, kid: str, id: str, caveats: tuple[bytes, ...]) -> Token:
    """A new token under the root key ``rk``. Raises ``Misuse`` for what has no binary form."""
    if not _KID.fullmatch(kid.encode()) or not _ID.fullmatch(id.encode()):
        raise Misuse(f"kid {kid!r} or id {id!r} cannot stand in a capability.", cure="Use letters, digits, '_', '-'.")
    return _bounded(_Made(rk, kid, id, caveats))


def attenuated(token: Token, *caveats: bytes) -> Token:
    """``token`` with more caveats: the same rights or fewer. Needs no key. Raises ``Misuse`` when it gets too large."""
    return _bounded(Token(token.kid, token.id, (*token.caveats, *caveats), _chained(token.tag, caveats)))


def proves(rk: bytes, token: Token) -> bool:
    """Whether ``token`` was minted under ``rk`` with just these caveats in this order. Takes the same time for every
    wrong tag."""
    expected = _chained(_first(rk, token.kid.encode(), token.id.encode()), token.caveats)
    return hmac.compare_digest(expected, token.tag)


def _bounded(token: Token) -> Token:
    sizes = list(map(len, token.caveats))
    if len(sizes) > CAVEATS_MAX:
        raise Misuse(f"a capability with {len(sizes)} caveats; {CAVEATS_MAX} is the limit.", cure="Mint a new one.")
    if sizes and (min(sizes) == 0 or max(sizes) > CAVEAT_BYTES_MAX):
        raise Misuse("a caveat that is empty or too long.", cure=f"Write 1 to {CAVEAT_BYTES_MAX} bytes.")
    if _FIXED_BYTES + len(token.kid) + len(token.id) + sum(sizes) + 2 * len(sizes) > TOKEN_BYTES_MAX:
        raise Misuse(f"a capability of over {TOKEN_BYTES_MAX} bytes.", cure="Mint a new one with fewer caveats.")
    return token


def encode(token: Token) -> bytes:
    """The binary form."""
    kid, id = token.kid.encode(), token.id.encode()
    parts = [_MAGIC, bytes((len(kid),)), kid, bytes((len(id),)), id, bytes((len(token.caveats),))]
    for caveat in token.caveats:
        parts.append(len(caveat).to_bytes(2, "big"))
        parts.append(caveat)
    parts.append(token.tag)
    return b"".join(parts)


def decode(data: bytes) -> Token:
    """The token of a binary form. Raises ``Refused(UNAUTH, "cap_malformed")`` and nothing else."""
    size = len(data)
    if not len(_MAGIC) + DIGEST_BYTES < size <= TOKEN_BYTES_MAX or not data.startswith(_MAGIC):
        raise malformed("its size or its first bytes")
    end = size - DIGEST_BYTES
    at, kid = _piece(data, len(_MAGIC), 1, end)
    at, id = _piece(data, at, 1, end)
    if not _KID.fullmatch(kid) or not _ID.fullmatch(id) or at >= end:
        raise malformed("its kid or its id")
    count = data[at]
    at += 1
    if count > CAVEATS_MAX:
        raise malformed(f"{count} caveats")
    caveats: list[bytes] = []
    for _ in range(count):
        at, caveat = _piece(data, at, 2, end)
        if not 0 < len(caveat) <= CAVEAT_BYTES_MAX:
            raise malformed("a caveat's length")
        caveats.append(caveat)
    if at != end:
        raise malformed("what stands behind its caveats")
    return Token(kid.decode(), id.decode(), tuple(caveats), data[end:])


def _piece(data: bytes, at: int, width: int, end: int) -> tuple[int, bytes]:
    start = at + width
    stop = start + int.from_bytes(data[at:start], "big")
    if start > end or stop > end:
        raise malformed("a length in it")
    return stop, data[start:stop]


def parse(text: str) -> Token:
    """The token of a text form. Raises ``Refused(UNAUTH, "cap_malformed")`` and nothing else."""
    body = text.removeprefix(TEXT_PREFIX)
    if len(text) > _TEXT_MAX or len(body) == len(text) or not _TEXT.fullmatch(body) or len(body) % 4 == 1:
        raise malformed(f"its text, which is not {TEXT_PREFIX} and base64url")
    token = decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    if str(token) != text:
        raise malformed("its spelling, of which there is only one")
    return token


def malformed(what: str) -> Refused:
    """The one error for what is no token. Never holds what was given: it may be another secret."""
    return Refused(Reason.UNAUTH, "cap_malformed", f"This is not a capability: {what} cannot be right.")

"""Credentials: read when the call is sent, never kept.

A target names its secret by reference. What the reference stands for is read for each attempt through a resolver that
is poured in, so that a rotated secret is used by the next call, and it lives in nothing but the header of the request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from rco.model.target import Credential

__all__ = ["SECRET_LIMIT_BYTES", "SecretMissing", "SecretResolver", "check_reference", "header_value", "secrets_of"]

SecretResolver = Callable[[str], str]
"""Gives the secret of a reference. Raises ``LookupError``, ``OSError`` or ``ValueError`` when there is none."""

SECRET_LIMIT_BYTES = 16 * 1024

_ENV = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")
_FILE = re.compile(r"file:/[^\x00]+")
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


class SecretMissing(Exception):
    """The secret cannot be put on a request. Names the reference and the cure; never holds the secret."""


def check_reference(reference: str) -> None:
    """Raises ``ValueError`` unless ``reference`` is ``env:NAME`` or ``file:/absolute/path``.

    The text is not repeated in the error: a secret written where its reference belongs is the likeliest mistake.
    """
    if not (_ENV.fullmatch(reference) or _FILE.fullmatch(reference)):
        raise ValueError("the credential's secret is not a reference; write env:NAME or file:/absolute/path")


def secrets_of(environ: Mapping[str, str]) -> SecretResolver:
    """A resolver over ``environ`` and the file system. Files are read anew each time, without their last line break."""

    def resolve(reference: str) -> str:
        kind, _, place = reference.partition(":")
        if kind == "env":
            return environ[place]
        with Path(place).open("rb") as file:
            return file.read(SECRET_LIMIT_BYTES + 1).decode().removesuffix("\n").removesuffix("\r")

    return resolve


def header_value(credential: Credential, resolve: SecretResolver) -> tuple[str, str]:
    """The header's value and the bare secret (to be recognised in an answer). Raises ``SecretMissing``."""
    try:
        secret = resolve(credential.secret)
    except (LookupError, OSError, ValueError):
        # The cause is cut off: an error of decoding holds the bytes it could not decode.
        raise SecretMissing(
            f"the secret {credential.secret} cannot be read; set the variable or mount the file, then retry"
        ) from None
    if not isinstance(secret, str) or len(secret) > SECRET_LIMIT_BYTES or not _VISIBLE.fullmatch(secret):
        raise SecretMissing(
            f"the secret {credential.secret} is empty, too long or holds characters a header cannot; replace it"
        )
    return (f"{credential.scheme} {secret}" if credential.scheme else secret), secret

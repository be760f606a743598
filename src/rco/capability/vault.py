"""Root keys out of Vault's transit engine: nothing of them lies on this machine.

Transit keeps a key in versions and never gives it away, but it computes with it. The secret of the root key for version
N is what transit's HMAC-SHA-256 with version N makes of a constant; its name is ``vN``. So every node has the same ring
without a file that must be carried around, rotating is transit's own rotation, and a version below transit's
``min_decryption_version`` is retired. Sources: the transit secrets engine's HTTP API, ``GET /keys/:name``,
``POST /keys/:name/rotate`` and ``POST /hmac/:name/sha2-256``.
"""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from rco.capability.keyring import Key, Keyring
from rco.errors import ConfigInvalid, StoreError
from rco.kit.clock import MICROS, parse_iso

__all__ = ["Transit"]

ANSWER_BYTES_MAX = 1 << 20
TIMEOUT_S = 5.0
VERSIONS_MAX = 32
"""The newest versions; older ones are not asked for."""
PURPOSE = b"rco capability root v1"


class Transit:
    """One transit key. ``token`` is asked at each request, so a renewed one is used by the next. Blocking: call it on
    a thread. Raises ``StoreError`` when Vault gives no answer that can be
    used, ``ConfigInvalid`` for what never could."""

    def __init__(
        self,
        address: str,
        mount: str,
        key: str,
        token: Callable[[], str],
        *,
        lead_s: float,
        overlap_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """A new version mints ``lead_s`` after it was made (the first one at once); the one before it is accepted
        ``overlap_s`` longer."""
        try:
            parts = urlsplit(address)
            self._https, self._host, self._port = parts.scheme == "https", parts.hostname or "", parts.port
        except ValueError:
            parts, self._host = urlsplit(""), ""
        if parts.scheme not in ("http", "https") or not self._host or "@" in address or parts.path not in ("", "/"):
            raise ConfigInvalid("vault.address is not an address", cure="Write e.g. https://vault:8200.")
        self._base, self._key, self._token = f"/v1/{quote(mount)}", quote(key, safe=""), token
        self._lead_us, self._overlap_us = round(lead_s * MICROS), round(overlap_s * MICROS)
        self._tls = tls

    def ring(self) -> Keyring:
        """The keys of every version from ``min_decryption_version`` on."""
        told = self._ask("GET", f"/keys/{self._key}")
        try:
            made = {int(version): _made_us(at) for version, at in told["keys"].items()}
            lowest = int(told.get("min_decryption_version", 1))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _unusable("what it says of the key") from None
        versions = sorted(version for version in made if version >= lowest)[-VERSIONS_MAX:]
        keys: list[Key] = []
        for version in versions:
            mint_from_us = made[version] + (self._lead_us if version > min(made) else 0)
            later = made.get(version + 1)
            until_us = None if later is None else later + self._lead_us + self._overlap_us
            keys.append(Key(f"v{version}", version, self._secret(version), made[version], mint_from_us, until_us))
        return Keyring(keys)

    def rotate(self) -> Keyring:
        """Have transit make another version, and the key itself if there is none."""
        try:
            self._ask("POST", f"/keys/{self._key}/rotate", {})
        except _Absent:
            self._ask("POST", f"/keys/{self._key}", {"type": "aes256-gcm96"})
        return self.ring()

    def _secret(self, version: int) -> bytes:
        asked = {"input": base64.b64encode(PURPOSE).decode(), "key_version": version}
        told = self._ask("POST", f"/hmac/{self._key}/sha2-256", asked)
        said = told.get("hmac")
        head = f"vault:v{version}:"
        if not isinstance(said, str) or not said.startswith(head):
            raise _unusable("the HMAC it computed")
        try:
            secret = base64.b64decode(said.removeprefix(head), validate=True)
        except ValueError:
            raise _unusable("the HMAC it computed") from None
        if len(secret) != 32:
            raise _unusable("the HMAC it computed")
        return secret

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = (
            http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT_S, context=self._tls or ssl.create_default_context()
            )
            if self._https
            else http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        )
        headers = {"X-Vault-Token": self._token(), "X-Vault-Request": "true", "Content-Type": "application/json"}
        try:
            sent = None if body is None else msgspec.json.encode(body)
            connection.request(method, self._base + path, sent, headers)
            response = connection.getresponse()
            raw = response.read(ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(
                f"Vault at {self._host} gives no answer ({type(error).__name__}).", cure="Check vault.address."
            ) from None
        finally:
            connection.close()
        if response.status == 404 or (response.status == 400 and b"key not found" in raw):
            raise _Absent(f"Vault has no transit key at {self._base}{path}.", cure="rco keys rotate makes one.")
        if response.status == 204:
            return {}
        # Redirects are not followed: the token is for this host. The body is not shown: it may say what it was asked.
        if response.status != 200 or len(raw) > ANSWER_BYTES_MAX:
            raise StoreError(
                f"Vault answered {response.status} to {method} {self._base}{path}.",
                cure="Check the token's policy: read on keys/, update on hmac/ and, to rotate, on keys/.../rotate.",
            )
        try:
            told = msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            told = None
        data = told.get("data") if isinstance(told, dict) else None
        if data is None and method == "POST":
            return {}
        if not isinstance(data, dict):
            raise _unusable("what it answered")
        return data


class _Absent(StoreError):
    """There is no such transit key."""


def _made_us(at: Any) -> int:
    # Symmetric keys come as seconds since the epoch, the others as objects with a time in them.
    if isinstance(at, dict):
        return parse_iso(str(at["creation_time"]))
    return int(at) * MICROS


def _unusable(what: str) -> StoreError:
    return StoreError(f"Vault's answer cannot be used: {what}.", cure="Check vault.mount and vault.key.")

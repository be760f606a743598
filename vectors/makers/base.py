"""What all vectors share: the time, the test secrets, and how a vector is written."""

from __future__ import annotations

import base64
from typing import Any

NOW_S = 1_790_000_000
BODY = '{"type":"invoice.paid","data":{"id":"in_1","amount":4200}}'
TEXT_KEY = "correct horse battery staple"
OTHER_KEY = "another horse, another battery"
WHSEC = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER_WHSEC = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
SEED, OTHER_SEED = bytes(range(32)).hex(), bytes(range(32, 64)).hex()
"""Private keys of ed25519."""
DELIVERY = "72d3162e-cc78-11e3-81ab-4c9367dc0958"

Headers = list[list[str]]
Vector = dict[str, Any]


def signed_as(secret: str = "main", offset_s: int = 0, **options: Any) -> dict[str, Any]:
    """How ``rco interop conform`` signs a vector anew at its own time. Not needed where no time is signed."""
    recipe: dict[str, Any] = {"secret": secret, "offset_s": offset_s}
    return {**recipe, "options": options} if options else recipe


def resigned(vector: Vector, secret: str = "main", offset_s: int = 0, **options: Any) -> Vector:
    """``vector`` with the recipe to sign it at another time."""
    return {**vector, "sign": signed_as(secret, offset_s, **options)}


def case(
    name: str,
    kind: str,
    *,
    secret: str = "",
    other: str = "",
    signature_header: str | None = None,
    signed_headers: list[str] | None = None,
    now_s: int = NOW_S,
    good: list[Vector],
    bad: list[Vector],
    **more: Any,
) -> dict[str, Any]:
    """One provider with its vectors. ``settings`` among ``more`` are added to the provider's."""
    secrets = [{"secret_id": "main", "ref": "env:MAIN"}] if secret else []
    settings = {"name": name, "kind": kind, "secrets": secrets, **more.pop("settings", {})}
    return {
        "settings": settings,
        "secrets": {"env:MAIN": secret} if secret else {},
        "other_secret": other,
        "now_us": now_s * 1_000_000,
        "signature_header": signature_header,
        "signed_headers": signed_headers or [],
        **more,
        "good": good,
        "bad": bad,
    }


def good(name: str, headers: Headers, body: str, expect: dict[str, Any]) -> Vector:
    return {"name": name, "headers": headers, "body": body, "expect": expect}


def bad(name: str, headers: Headers, body: str, reason: str, status: int, detail: str) -> Vector:
    return {
        "name": name,
        "headers": headers,
        "body": body,
        "refused": {"reason": reason, "status": status, "detail": detail},
    }


def unauth(name: str, headers: Headers, body: str, detail: str, status: int = 401) -> Vector:
    return bad(name, headers, body, "UNAUTH", status, detail)

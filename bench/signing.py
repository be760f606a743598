"""Requests as bytes, signed beforehand, so that the sender costs the machine as little as can be."""

from __future__ import annotations

import base64
import hmac
import json
import time

__all__ = ["BODY_BYTES", "KEY", "SECRET", "requests"]

KEY = b"bench signing key of 32 bytes  ."
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY_BYTES = 1024


def requests(count: int, *, path: str, type: str, prefix: str) -> list[bytes]:
    """``count`` different POST requests of 1 KiB, signed as Standard Webhooks v1 at this moment. ``prefix`` keeps their
    identities apart from those of other calls."""
    stamp = str(int(time.time()))
    made = []
    for number in range(count):
        identity = f"msg_{prefix}_{number:08d}"
        bare = {"id": identity, "type": type, "data": {"customer": f"cus_{number:06d}", "amount": number, "note": ""}}
        bare["data"]["note"] = "x" * (BODY_BYTES - len(json.dumps(bare)))  # type: ignore[index]
        body = json.dumps(bare).encode()
        signed = hmac.digest(KEY, b".".join((identity.encode(), stamp.encode(), body)), "sha256")
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nwebhook-id: {identity}\r\nwebhook-timestamp: {stamp}\r\n"
            f"webhook-signature: v1,{base64.b64encode(signed).decode()}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made

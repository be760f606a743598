"""A server that speaks the HTTP API of Vault's transit engine, as documented: keys, rotation, HMAC, tokens.

Not Vault: no Vault can be had here. It keeps keys in versions, refuses what Vault's documentation says is refused, and
computes what transit computes.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["VaultServer"]


class VaultServer:
    """Use it as ``with VaultServer() as vault``. ``tokens`` maps each token to the paths that it may use."""

    def __init__(self) -> None:
        self.tokens: dict[str, tuple[str, ...]] = {"root-token": ("",)}
        self.keys: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer_with: tuple[int, dict[str, str], bytes] | None = None
        self.now_s = time.time
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append((self.command, self.path, dict(self.headers), body))
                status, headers, told = outer.answer_with or outer._told(self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _told(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        token = headers.get("X-Vault-Token") or ""
        allowed = self.tokens.get(token)
        if allowed is None or not path.startswith(tuple(f"/v1/transit/{one}" for one in allowed)):
            return 403, {}, b'{"errors":["permission denied"]}'
        parts = path.removeprefix("/v1/transit/").split("/")
        asked = json.loads(body) if body else {}
        status, data = self._transit(method, parts, asked)
        if status == 204:
            return 204, {}, b""
        if status != 200:
            return status, {}, json.dumps({"errors": [data] if data else []}).encode()
        return 200, {}, json.dumps({"request_id": "x", "data": data, "warnings": None}).encode()

    def _transit(self, method: str, parts: list[str], asked: dict[str, Any]) -> tuple[int, Any]:
        match method, parts:
            case "POST", ["keys", name]:
                self.keys.setdefault(name, {"versions": {}, "min_decryption": 1})
                if not self.keys[name]["versions"]:
                    self._add(name)
                return 204, None
            case "GET", ["keys", name] if name in self.keys:
                key = self.keys[name]
                times = {str(version): made for version, (made, _) in key["versions"].items()}
                lowest = key["min_decryption"]
                told = {"name": name, "type": "aes256-gcm96", "keys": times, "latest_version": max(key["versions"])}
                return 200, told | {"min_decryption_version": lowest, "min_encryption_version": 0}
            case "POST", ["keys", name, "rotate"] if name in self.keys:
                self._add(name)
                return 204, None
            case "POST", ["hmac", name, "sha2-256"] if name in self.keys:
                key = self.keys[name]
                version = asked.get("key_version") or max(key["versions"])
                if version not in key["versions"] or version < key["min_decryption"]:
                    return 400, "cannot generate HMAC: version is too old (disallowed by policy)"
                _, secret = key["versions"][version]
                computed = hmac.digest(secret, base64.b64decode(asked["input"]), "sha256")
                return 200, {"hmac": f"vault:v{version}:{base64.b64encode(computed).decode()}"}
            case "POST", ["keys", _, "rotate"]:
                return 400, "key not found"
            case _:
                return 404, ""

    def _add(self, name: str) -> None:
        versions = self.keys[name]["versions"]
        versions[len(versions) + 1] = (int(self.now_s()), secrets.token_bytes(32))

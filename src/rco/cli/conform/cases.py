"""The published vectors, and the requests that they become at a given time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

import rco
from rco.bridge.contract import ProviderSettings
from rco.bridge.kind import Signing
from rco.bridge.providers import CATALOGUE
from rco.errors import NotFound

__all__ = ["Case", "Shot", "load_cases", "shots", "vectors_folder"]

Case = dict[str, Any]
_NEEDS_CERTIFICATE = frozenset(("sig_mismatch", "cert_refused", "subscribe_url_foreign"))


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """One request and the answer that is right, or why it cannot be sent (``skipped``)."""

    provider: str
    name: str
    good: bool
    headers: list[tuple[str, str]] = []
    body: bytes = b""
    status: int = 0
    reason: str = ""
    """The reason of a refusal."""
    answer: str | None = None
    """The exact body of an answer that is not ours."""
    skipped: str = ""


def vectors_folder() -> Path:
    """Where the vectors are: beside the package when it is installed, in the checkout otherwise."""
    package = Path(rco.__file__).parent
    installed = package / "vectors"
    return installed if installed.is_dir() else package.parents[1] / "vectors"


def load_cases(kind: str, folder: Path | None = None) -> list[Case]:
    """The providers of ``kind`` with their vectors. Raises ``NotFound``."""
    path = (folder or vectors_folder()) / f"{kind}.json"
    if kind not in CATALOGUE or not path.is_file():
        raise NotFound(
            f"there are no vectors for {kind!r}.", cure=f"There are some for: {', '.join(sorted(CATALOGUE))}."
        )
    cases: list[Case] = json.loads(path.read_text())["cases"]
    return cases


def shots(case: Case, at_us: int | None) -> list[Shot]:
    """Every vector of ``case`` as a request. ``at_us`` ``None``: as it is published, for an instance whose clock stands
    at the vectors' time; otherwise signed anew for that time."""
    return [_shot(case, vector, good, at_us) for good in (True, False) for vector in case["good" if good else "bad"]]


def _shot(case: Case, vector: dict[str, Any], good: bool, at_us: int | None) -> Shot:
    settings = msgspec.convert(case["settings"], ProviderSettings)
    body = vector["body"].encode()
    headers = [(name, value) for name, value in vector["headers"]]
    skipped = "" if at_us is None else _obstacle(case, vector, good)
    if vector.get("secrets"):
        skipped = "it needs another secret than the others"
    elif any(value != value.strip(" \t") for _, value in headers):
        skipped = "HTTP takes the space around a header's value away"
    elif at_us is not None and not skipped and "sign" in vector:
        headers, body = _signed(case, settings, vector, body, headers, at_us)
    expect, refused = vector.get("expect", {}), vector.get("refused", {})
    return Shot(
        provider=settings.name,
        name=vector["name"],
        good=good,
        headers=_complete(settings, headers, body),
        body=body,
        status=expect.get("status", 202) if good else refused["status"],
        reason="" if good else refused["reason"],
        answer=expect.get("body"),
        skipped=skipped,
    )


def _obstacle(case: Case, vector: dict[str, Any], good: bool) -> str:
    """Why a vector cannot be put to an instance that has a clock and a network of its own."""
    if vector.get("static"):
        return "it is published with a time that is over"
    detail = vector.get("refused", {}).get("detail", "")
    if case.get("certificates") and (good or detail in _NEEDS_CERTIFICATE or "sign" in vector):
        return "only the sender has the key of its certificate"
    return ""


def _signed(
    case: Case,
    settings: ProviderSettings,
    vector: dict[str, Any],
    body: bytes,
    headers: list[tuple[str, str]],
    at_us: int,
) -> tuple[list[tuple[str, str]], bytes]:
    """The request signed as its ``sign`` says; headers that signing does not make stay as they are."""
    sign = CATALOGUE[settings.kind].sign
    recipe = vector["sign"]
    secret = case.get("signing_keys", {}).get(recipe["secret"])
    if secret is None:
        secret = case["secrets"]["env:MAIN"] if recipe["secret"] == "main" else case["other_secret"]  # noqa: S105
    if sign is None:
        return headers, body
    made, sent = sign(
        Signing(
            settings=settings,
            secret=secret,
            body=body,
            at_us=at_us + round(recipe["offset_s"] * 1e6),
            options=recipe.get("options", {}),
        )
    )
    own = {name.lower() for name, _ in made}
    more = [tuple(pair) for pair in recipe.get("options", {}).get("headers", []) if isinstance(pair, list)]
    own |= {name.lower() for name, _ in more}
    return [*((name, value) for name, value in headers if name.lower() not in own), *made, *more], sent


def _complete(settings: ProviderSettings, headers: list[tuple[str, str]], body: bytes) -> list[tuple[str, str]]:
    """The headers with what any request has."""
    there = {name.lower() for name, _ in headers}
    media = (settings.content_types or CATALOGUE[settings.kind].content_types)[0]
    more = [("Content-Type", media), ("Content-Length", str(len(body)))]
    return [*headers, *((name, value) for name, value in more if name.lower() not in there)]

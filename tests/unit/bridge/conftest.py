"""The published vectors, and verifiers built from them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rco.bridge.certificates import Certificates
from rco.bridge.contract import Answered, Errand, Expression, ProviderSettings, Verifier
from rco.bridge.providers import build_verifier
from rco.model.delivery import Delivery

VECTORS = Path(__file__).parents[3] / "vectors"
Case = dict[str, Any]
Verify = Callable[..., Any]


def load_cases() -> list[Case]:
    return [case for path in sorted(VECTORS.glob("*.json")) for case in json.loads(path.read_text())["cases"]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``case``: every provider. ``signed_case``: those whose signature stands in a header and covers every
    byte of the body.
    ``keyed_case``: those with a secret in a header."""
    cases = load_cases()
    for fixture, wanted in (
        ("case", lambda _: True),
        ("keyed_case", lambda case: case["signature_header"]),
        (
            "signed_case",
            lambda case: case["signature_header"] and not case.get("bearer") and not case.get("decoded"),
        ),
    ):
        if fixture in metafunc.fixturenames:
            usable = [case for case in cases if case["good"] and wanted(case)]
            metafunc.parametrize(fixture, usable, ids=[case["settings"]["name"] for case in usable])
    for which in ("good", "bad"):
        if f"{which}_vector" in metafunc.fixturenames:
            pairs = [(case, vector) for case in cases for vector in case[which]]
            ids = [f"{case['settings']['name']}: {vector['name']}" for case, vector in pairs]
            metafunc.parametrize(f"{which}_vector", pairs, ids=ids)


def make(
    case: Case,
    *,
    secrets: dict[str, str] | None = None,
    compile_expression: Callable[[str], Expression] | None = None,
    now_us: int | None = None,
    **changed: Any,
) -> Verifier:
    settings = msgspec.convert({**case["settings"], **changed}, ProviderSettings)
    values = {**case["secrets"], **(secrets or {})}
    served = case.get("certificates", {})

    async def fetch(url: str, limit_bytes: int) -> tuple[int, bytes]:
        return (200, served[url].encode()) if url in served else (404, b"")

    roots = [x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER) for pem in case.get("roots", [])]
    verifier = build_verifier(
        settings,
        resolve=lambda ref: values[ref].encode(),
        now_us=case["now_us"] if now_us is None else now_us,
        compile_expression=compile_expression,
        certificates=Certificates(fetch, roots=lambda: roots),
    )
    return Fetching(verifier) if served else verifier


class Fetching:
    """Runs a verifier's errands in between, as the ingress does."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier = verifier

    def verify(self, headers: Any, body: bytes, now_us: int, corr_id: str) -> Any:
        found = self.verifier.verify(headers, body, now_us, corr_id)
        if isinstance(found, Errand):
            asyncio.run(found.run())
            found = self.verifier.verify(headers, body, now_us, corr_id)
        return found


def delivered(found: Any) -> Delivery:
    """The delivery in what a verifier returned, whatever answer goes with it."""
    if isinstance(found, Answered):
        return found.delivery
    assert isinstance(found, Delivery), found
    return found


def wire(headers: list[list[str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]


@pytest.fixture
def build() -> Callable[..., Verifier]:
    return make


@pytest.fixture
def delivery_in() -> Callable[[Any], Delivery]:
    return delivered


@pytest.fixture
def as_wire() -> Callable[[list[list[str]]], list[tuple[bytes, bytes]]]:
    return wire


@pytest.fixture
def all_cases() -> list[Case]:
    return load_cases()


@pytest.fixture
def named(all_cases: list[Case]) -> Callable[[str], Case]:
    """The case of the provider with this name."""

    def find(name: str) -> Case:
        return next(case for case in all_cases if case["settings"]["name"] == name)

    return find

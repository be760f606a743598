"""The catalogue: each kind is a file, its vectors and its part of the page, and its example works."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rco.bridge import providers
from rco.bridge.contract import ProviderSettings
from rco.bridge.kind import Signing
from rco.bridge.providers import CATALOGUE
from rco.bridge.providers_page import page
from rco.config import load

ROOT = Path(__file__).parents[3]


def test_the_page_is_current() -> None:
    assert (ROOT / "docs/reference/providers.md").read_text() == page()


def test_each_file_is_one_kind_with_vectors() -> None:
    files = {info.name for info in pkgutil.iter_modules(providers.__path__)}
    assert {name.replace("-", "_") for name in CATALOGUE} == files
    for name in CATALOGUE:
        assert (ROOT / "vectors" / f"{name}.json").is_file()
        assert (ROOT / "vectors" / "makers" / f"{name.replace('-', '_')}.py").is_file()


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_the_example_is_a_good_configuration(kind: str, tmp_path: Path) -> None:
    example = CATALOGUE[kind].about.example
    path = tmp_path / "rco-config.yaml"
    path.write_text("providers:\n" + "".join(f"  {line}\n" for line in example.splitlines()))
    (settings,) = load(path, {}).settings.providers.values()
    assert settings.kind == kind


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_what_is_said_is_said_for_every_kind(kind: str) -> None:
    about = CATALOGUE[kind].about
    for field in ("title", "signed", "algorithm", "credential", "type", "dedupe", "time", "example"):
        assert getattr(about, field), field
    assert about.url.startswith("https://")
    assert about.headers


def test_signing_as_the_provider_gives_what_its_library_gives(case: dict[str, Any]) -> None:
    kind = CATALOGUE[case["settings"]["kind"]]
    vector = next((one for one in case["good"] if one.get("sign", {}).get("offset_s") == 0), None)
    if kind.sign is None or vector is None or kind.name in ("aws-sns", "rfc9421"):
        # No time is signed, or the envelope is free to be written in several ways; those are verified elsewhere.
        assert kind.name in ("aws-sns", "rfc9421") or not any("sign" in one for one in case["good"])
        return
    secret = case.get("signing_keys", {}).get("main") or case["secrets"]["env:MAIN"]
    headers, body = kind.sign(
        Signing(
            settings=msgspec.convert(case["settings"], ProviderSettings),
            secret=secret,
            body=vector["body"].encode(),
            at_us=case["now_us"],
            options=vector["sign"].get("options", {}),
        )
    )
    published = dict(vector["headers"])
    assert body == vector["body"].encode()
    assert {name.lower(): value for name, value in headers}.items() <= published.items()

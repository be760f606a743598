"""References to secrets: found at the time of use, never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rco.config import Secrets
from rco.errors import ConfigInvalid


def test_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    secrets = Secrets({"KEY": "value"})
    assert secrets("env:KEY") == "value"
    assert secrets(f"file:{path}") == "first"


def test_a_rotated_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first")
    secrets = Secrets({})
    assert secrets(f"file:{path}") == "first"
    fresh = tmp_path / "fresh"
    fresh.write_text("other")
    fresh.replace(path)
    assert secrets(f"file:{path}") == "other"


@pytest.mark.parametrize(
    "reference", ["sk_live_value", "env:", "env:sk_live_lower", "file:relative", "file:", "vault:x", "ENV:KEY"]
)
def test_what_is_no_reference(reference: str) -> None:
    with pytest.raises(ConfigInvalid, match="not a reference") as caught:
        Secrets({"sk_live_lower": "x"})(reference)
    assert "sk_live" not in str(caught.value)


def test_absent_and_empty_say_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="Set the variable KEY"):
        Secrets({})("env:KEY")
    with pytest.raises(ConfigInvalid, match="No such file"):
        Secrets({})(f"file:{tmp_path}/none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigInvalid, match="empty or absent"):
        Secrets({})(f"file:{tmp_path}/empty")


def test_devices_and_large_files_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigInvalid, match="is not a file"):
        Secrets({})(f"file:{tmp_path}/pipe")
    (tmp_path / "large").write_bytes(b"x" * 65537)
    with pytest.raises(ConfigInvalid, match="is not a file"):
        Secrets({})(f"file:{tmp_path}/large")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid, match="not UTF-8"):
        Secrets({})(f"file:{tmp_path}/binary")

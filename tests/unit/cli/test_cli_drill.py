"""``rco drill`` as far as it goes without a service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rco.drills.drills import NAMES


def test_the_list_names_every_drill(rco: Any) -> None:
    said = rco("drill", "list", "--json")
    assert said.status == 0, said.err
    assert [one["name"] for one in json.loads(said.out)] == list(NAMES)
    assert "kill -9" in rco("drill", "list").out


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["no-such"], 3, "there is no drill 'no-such'"),
        (["kill", "--rate", "0"], 2, "Give 1 to 5000"),
        (["kill", "--out", "nowhere"], 2, "is no folder"),
        (["kill", "--keep", "nowhere"], 2, "is no folder"),
        (["kill", "--store", "rco.db"], 2, "no PostgreSQL server"),
        (["burst", "--secret", "env:X"], 2, "is for a deployment"),
        (["burst", "--url", "http://127.0.0.1:1"], 2, "needs --metrics-url, --secret, --token-file"),
    ],
)
def test_what_cannot_be_is_said_with_its_cure(rco: Any, arguments: list[str], status: int, told: str) -> None:
    said = rco("drill", "run", *arguments)
    assert (said.status, said.out) == (status, "")
    assert told in said.err


def test_a_secret_is_named_and_never_told(rco: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "token").write_text("t")
    monkeypatch.setenv("THEIR_SECRET", "not-one-of-theirs")
    there = [
        "--url",
        "http://127.0.0.1:1",
        "--metrics-url",
        "http://127.0.0.1:1",
        "--token-file",
        str(tmp_path / "token"),
    ]
    said = rco("drill", "run", "burst", *there, "--secret", "env:THEIR_SECRET")
    assert said.status == 2
    assert "begins with whsec_" in said.err
    assert "not-one-of-theirs" not in said.err
    assert rco("drill", "run", "burst", *there, "--secret", "whsec_given").status == 2

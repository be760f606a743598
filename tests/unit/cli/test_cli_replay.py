"""``rco replay``: histories against code, with a status and a difference that a CI can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rco
from rco.cli.entry import run

HISTORIES = Path(__file__).parents[2] / "histories"
FILE = HISTORIES / f"{rco.__version__}.jsonl"
APP = str(HISTORIES / "workflows.py")


def test_what_fits_is_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(FILE), "--app", APP]) == 0
    count = int(capsys.readouterr().out.split()[0])
    assert count > 15
    assert run(["replay", str(FILE), "--app", APP, "--open", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["fit"], told["misfits"]) == (2, 2, [])
    assert run(["replay", str(FILE), "--app", APP, "--workflow", "h_undo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == 2


def test_what_does_not_fit_is_status_1_with_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "changed.py"
    source = (HISTORIES / "workflows.py").read_text()
    changed.write_text(source.replace('await ctx.step(echo, "second")', 'await ctx.step(blocking, "second")'))
    assert run(["replay", str(FILE), "--app", str(changed), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {one["workflow"] for one in told["misfits"]} == {"h_undo"}
    assert told["runs"] - told["fit"] == len(told["misfits"]) == 2
    diff = told["misfits"][0]["diff"]
    assert (diff["recorded"]["key"], diff["code"][0]["key"]) == ("echo#1", "blocking")
    assert run(["replay", str(FILE), "--app", str(changed)]) == 1
    printed = capsys.readouterr().out
    assert "recorded" in printed
    assert "step blocking" in printed


def test_another_end_is_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "changed.py"
    source = (HISTORIES / "workflows.py").read_text()
    changed.write_text(source.replace('return [first, "late"]', 'return "late"'))
    assert run(["replay", str(FILE), "--app", str(changed), "--json"]) == 1
    misfits = json.loads(capsys.readouterr().out)["misfits"]
    assert [one["why"] for one in misfits] == ["the run ends otherwise."] * 2


def test_what_is_no_export_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"line": "segment", "run": "x"}\n')
    assert run(["replay", str(other), "--app", APP]) == 2
    assert "--payloads" in capsys.readouterr().err
    other.write_text("not json\n")
    assert run(["replay", str(other), "--app", APP]) == 6
    assert run(["replay", str(tmp_path / "none"), "--app", APP]) == 1

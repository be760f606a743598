"""The soak can be carried out, at a tiny size; its figures are not judged here, its books are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.soak.bounds import BOUNDS

ROOT = Path(__file__).parents[3]


def test_a_short_soak_samples_everything_and_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench.soak", "--minutes", "0.15", "--rate", "30"),
            *("--folder", str(tmp_path / "disk"), "--out", str(out)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    # 6: in nine seconds something may still grow.
    assert done.returncode in (0, 6), done.stderr
    found = json.loads(out.read_bytes())
    assert found["books"] == []
    assert found["ok"] == (done.returncode == 0)
    assert [one["field"] for one in found["bounds"]] == [bound.field for bound in BOUNDS]
    assert len(found["samples"]) >= 20
    assert all(one["resident_mib"] > 10 and one["descriptors"] > 5 and one["threads"] > 1 for one in found["samples"])
    assert found["counters"]["answers"]["webhook"]["202"] > 20
    assert "received" in done.stdout
    assert list((tmp_path / "disk").iterdir()) == [], "a folder was left behind"


def test_what_cannot_be_soaked_is_refused() -> None:
    for arguments in (["--minutes", "0"], ["--rate", "-1"], ["--store", "paper"]):
        done = subprocess.run(
            [sys.executable, "-m", "bench.soak", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "error" in done.stderr

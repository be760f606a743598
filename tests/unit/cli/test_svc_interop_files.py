"""``svc-interop`` without a file: what it does not read is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from rco.cli import svc_interop


@pytest.mark.parametrize(("config", "told"), [(None, True), (Path("svc-interop.toml"), False)])
def test_a_file_that_lies_there_and_is_not_read_is_named(
    config: Path | None,
    told: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("svc-interop.toml").write_text("")
    monkeypatch.setattr("rco.cli.serve.run_service", lambda *_, **__: 0)
    assert svc_interop.run(config=config) == 0
    assert ("svc-interop.toml is there and is not read" in capsys.readouterr().err) is told

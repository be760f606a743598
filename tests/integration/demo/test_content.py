"""The example of publishing at a set time, with its site as a process of its own and the service killed before it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0


class Desk:
    """The site, the service and an editor at a command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RCO_")}
        self._environ = kept | {"NO_COLOR": "1"}
        self._site = subprocess.Popen(
            [sys.executable, "-m", "examples.content.site", "--port", "0", "--file", str(folder / "site.json")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._site.stdout is not None
        self.port = self._site.stdout.readline().split()[-1]
        config = (ROOT / "examples/content/rco-config.yaml").read_text().replace("8310", self.port)
        config += 'server: {bind_addr: "127.0.0.1:0", metrics_addr: "127.0.0.1:0"}\n'
        (folder / "rco-config.yaml").write_text(config)
        self._service: subprocess.Popen[str] | None = None

    def serve(self) -> None:
        app = str(ROOT / "examples/content/app.py")
        self._service = subprocess.Popen(
            [sys.executable, "-m", "rco", "dev", app],
            cwd=self.folder,
            env=self._environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._service.stderr is not None
        for line in self._service.stderr:
            if "serving http://" in line:
                return
        raise AssertionError("the service did not start")

    def kill(self) -> None:
        if self._service is not None:
            self._service.kill()
            self._service.wait()
            assert self._service.stderr is not None
            self._service.stderr.close()
            self._service = None

    def rco(self, *arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "rco", *arguments, "--json"],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def public(self) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/articles", timeout=5) as answer:
            return json.load(answer)

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while not (answer := condition()):
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.1)
        return answer

    def close(self) -> None:
        self.kill()
        self._site.kill()
        self._site.wait()
        assert self._site.stdout is not None
        self._site.stdout.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_an_article_is_public_at_its_time_and_not_before(desk: Desk) -> None:
    desk.serve()
    at = (datetime.now(UTC) + timedelta(seconds=8)).isoformat(timespec="seconds")
    article = json.dumps({"slug": "launch", "title": "We are live"})
    made = desk.rco(
        *("schedule", "create", "publish-launch", "--workflow", "publish", "--input", article),
        *("--tick-field", "due", "--at", at, "--delete-when-done"),
    )
    assert made["next_at"][:19] == at[:19]
    assert desk.public()["articles"] == {}
    # Nobody is there to wait for the minute: it stands in the database.
    desk.kill()
    desk.serve()
    public = desk.until(lambda: desk.public() if desk.public()["front"] else None)
    assert datetime.now(UTC) >= datetime.fromisoformat(at)
    assert public["articles"]["launch"]["title"] == "We are live"
    assert public["articles"]["launch"]["published_at"][:19] == at[:19]
    assert public["front"] == ["launch"]
    desk.until(lambda: all(one["name"] != "publish-launch" for one in desk.rco("schedule", "list")["items"]))


def test_the_standing_schedule_is_that_of_the_configuration(desk: Desk) -> None:
    desk.serve()
    desk.until(lambda: desk.rco("schedule", "list")["items"])
    shown = desk.rco("schedule", "show", "site-map")
    assert (shown["origin"], shown["spec"]["zone"]) == ("config", "Europe/Berlin")
    times = desk.rco("schedule", "next", "site-map", "--after", "2026-12-24T21:45:00Z", "--count", "2")
    assert [one["local"] for one in times["items"]] == ["2026-12-24T22:50:00+01:00", "2026-12-28T06:00:00+01:00"]
    desk.rco("schedule", "trigger", "site-map")
    desk.until(lambda: desk.public()["maps"])

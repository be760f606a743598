"""``scripts/setup``: which Python it takes, and that it installs ``venv`` when it may or says what to type."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout, and a folder ``bin`` that stands in for a machine without ``venv``, ``sudo`` and uv."""
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    for name in ("scripts/setup", "scripts/packages.sh", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, checkout / name)
    (tmp_path / "bin").mkdir()
    real = Path(sys.executable).resolve()
    # It reports itself as the interpreter, or the script would go past it to the real one.
    stub(
        tmp_path,
        "python3.13",
        f'case "$*" in *realpath*) echo {tmp_path}/bin/python3.13;;\n'
        f'"-m venv"*) [ -e {tmp_path}/installed ] && exec {real} "$@"; exit 1;;\n*) exec {real} "$@";; esac',
    )
    stub(tmp_path, "sudo", "exit 1")
    return tmp_path


def stub(machine: Path, name: str, code: str) -> None:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/bash\n{code}\n")
    path.chmod(0o755)


def set_up(machine: Path) -> subprocess.CompletedProcess[str]:
    environ = {
        "PATH": f"{machine}/bin:/usr/bin:/bin",
        "HOME": os.environ.get("HOME", "/"),
        "PIP_NO_INDEX": "1",
        "PYTHON": "python3.13",
    }
    command = ["bash", "scripts/setup"]
    return subprocess.run(command, cwd=machine / "checkout", env=environ, capture_output=True, text=True, check=False)


def test_without_the_right_to_install_one_line_says_what_to_type(machine: Path) -> None:
    stub(machine, "id", "echo 1000")
    stub(machine, "apt-get", "exit 1")
    done = set_up(machine)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"setup: {PACKAGE} is missing; type: sudo apt-get update && sudo apt-get install -y {PACKAGE}"
    ]
    assert not (machine / "checkout/.venv/.complete").exists()


def test_with_the_right_to_install_it_installs_the_package_of_this_python(machine: Path) -> None:
    stub(machine, "id", "echo 0")
    # The first attempt fails as it does where the package lists were never fetched.
    stub(
        machine,
        "apt-get",
        f'echo "$*" >> {machine}/asked; case "$*" in *update*) touch {machine}/lists;;\n'
        f"*install*) [ -e {machine}/lists ] && touch {machine}/installed;; esac",
    )
    # Nothing is to be fetched here: the part behind the virtual environment is stopped at its first step.
    (machine / "checkout/requirements.lock").write_text("uv==0 --hash=sha256:00\n")
    done = set_up(machine)
    asked = (machine / "asked").read_text().splitlines()
    assert [line.split()[-1] for line in asked] == [PACKAGE, "update", PACKAGE], done.stderr
    assert (machine / "checkout/.venv/bin/python").exists()
    assert not (machine / "checkout/.venv/.complete").exists()


@pytest.mark.parametrize(
    ("took", "chosen"),
    [({"python3.13": 900, "python3.12": 700}, "python3.12"), ({"python3.13": 800, "python3.12": 700}, "python3.13")],
)
def test_another_python_is_taken_only_where_it_is_much_faster(machine: Path, took: dict[str, int], chosen: str) -> None:
    for name, nanoseconds in took.items():
        stub(
            machine,
            name,
            f'case "$*" in *realpath*) echo {machine}/bin/{name};; *perf_counter*) echo {nanoseconds};;\n'
            f'"-m venv"*) echo {name} >> {machine}/asked; exit 1;; *--version*) echo {name};; esac',
        )
    stub(machine, "id", "echo 1000")
    environ = {"PATH": f"{machine}/bin:/usr/bin:/bin", "HOME": "/"}
    command = ["bash", "scripts/setup"]
    done = subprocess.run(command, cwd=machine / "checkout", env=environ, capture_output=True, text=True, check=False)
    assert f"with {chosen}" in done.stdout, done.stderr


def test_the_lock_names_no_host_and_pins_everything_by_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pins = [line for line in lock.splitlines() if line[:1].isalnum()]
    assert all("==" in pin and pin.endswith("\\") for pin in pins)
    # What uv runs from, and what an editable install needs, is in the lock: nothing is fetched past it.
    assert {pin.split("==")[0] for pin in pins} >= {"uv", "hatchling", "editables"}

"""Where the peers live: an environment each under one folder, made once, never the project's own.

Every function here gives (folder with the programs, tools by name) or raises ``Unavailable`` with what was missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.peers.contract import Unavailable

__all__ = ["PINS", "debian", "go", "npm", "pinned", "present", "venv"]

PINS = Path(__file__).with_name("pins")
_LIMIT_S = 900


def pinned(name: str) -> str:
    """The text of one file in ``pins``."""
    return (PINS / name).read_text()


def present(cache: Path, name: str) -> bool:
    """Whether the environment of ``pins/NAME.txt`` is there as pinned, so that nothing would be fetched."""
    return _marked(cache / "envs" / name, pinned(f"{name}.txt"))


def venv(cache: Path, name: str) -> str:
    """The programs of an environment with what ``pins/NAME.txt`` says, made by uv with the interpreter of this one."""
    folder, wanted = cache / "envs" / name, pinned(f"{name}.txt")
    if not _marked(folder, wanted):
        beside = Path(sys.executable).with_name("uv")
        uv = str(beside) if beside.exists() else _program("uv", "make setup puts it into .venv")
        shutil.rmtree(folder, ignore_errors=True)
        base = os.path.realpath(sys.executable)
        _do([uv, "venv", "--quiet", "--python", base, str(folder)])
        command = [uv, "pip", "sync", "--quiet", "--compile-bytecode", str(PINS / f"{name}.txt")]
        _do(command, env={"VIRTUAL_ENV": str(folder), **_index()})
        _mark(folder, wanted)
    return str(folder / "bin")


def npm(cache: Path, name: str, path: str) -> str:
    """The file ``path`` of the package that ``pins/NAME.npm`` names, installed without running its scripts."""
    folder, wanted = cache / "npm" / name, pinned(f"{name}.npm")
    if not _marked(folder, wanted):
        program = _program("npm", "it comes with Node.js")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _do(
            [program, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), wanted.strip()]
        )
        _mark(folder, wanted)
    found = folder / "node_modules" / path
    if not found.exists():
        raise Unavailable(f"the package holds no {path}: there is no build for this machine")
    return str(found)


def go(cache: Path, name: str) -> str:
    """The program that ``pins/NAME.go`` names, built here from its module."""
    folder, wanted = cache / "go" / name, pinned(f"{name}.go")
    if not _marked(folder, wanted):
        program = _program("go", "the server is a Go module and is built here")
        folder.mkdir(parents=True, exist_ok=True)
        _do([program, "install", wanted.strip()], env={"GOBIN": str(folder)})
        _mark(folder, wanted)
    return str(folder / wanted.partition("@")[0].rpartition("/")[2])


def debian(cache: Path, name: str, program: str, packages: Sequence[str]) -> str:
    """``program`` of this machine, or out of Debian's packages, unpacked in the folder: none is installed or started.

    Gives a command; libraries that came with it are found through a small script of the same name.
    """
    have = shutil.which(program)
    if have:
        return have
    folder, wanted = cache / "debian" / name, "\n".join([name, *packages])
    script = folder / program
    if not _marked(folder, wanted):
        get = _program("apt-get", f"type: sudo apt-get install {name}")
        unpack = _program("dpkg", f"type: sudo apt-get install {name}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            _do([get, "download", name, *packages], cwd=folder)
        except Unavailable as problem:
            raise Unavailable(f"{problem}; type: sudo apt-get update && sudo apt-get install {name}") from None
        for archive in folder.glob("*.deb"):
            _do([unpack, "-x", str(archive), str(folder / "root")])
        libraries = ":".join(str(path) for path in sorted((folder / "root/usr/lib").glob("*-linux-*")))
        binary = folder / "root/usr/bin" / program
        script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{binary}" "$@"\n')
        script.chmod(0o755)
        _mark(folder, wanted)
    return str(script)


def _program(name: str, cure: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is missing: {cure}")
    return found


def _index() -> dict[str, str]:
    """uv does not read pip's environment; a machine that was told its index once is enough."""
    told = {"UV_DEFAULT_INDEX": "PIP_INDEX_URL", "SSL_CERT_FILE": "PIP_CERT"}
    return {ours: os.environ[pips] for ours, pips in told.items() if pips in os.environ and ours not in os.environ}


def _do(command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            list(command),
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} did not end within {_LIMIT_S} s") from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Unavailable(f"{name} {command[1]} failed: {words[-1] if words else f'status {done.returncode}'}"[:300])


def _marked(folder: Path, wanted: str) -> bool:
    try:
        return (folder / ".complete").read_text() == _digest(wanted)
    except OSError:
        return False


def _mark(folder: Path, wanted: str) -> None:
    (folder / ".complete").write_text(_digest(wanted))


def _digest(wanted: str) -> str:
    # The interpreter counts: an environment of another one cannot be used.
    return hashlib.sha256(f"{os.path.realpath(sys.executable)}\n{wanted}".encode()).hexdigest()

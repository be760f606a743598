"""``python -m bench.peers [--peers A,B] [--rounds N] [--scale X] [--out FILE] [--from FILE] [--write]``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import msgspec
from rich.console import Console

from bench.machine import facts, load
from bench.peers.contract import Peer
from bench.peers.page import page, show
from bench.peers.reaches import QUESTIONS
from bench.peers.report import Report, figures, judged

__all__ = ["FILES", "chosen", "main"]

FILES = ("ours", "dbos", "restate", "absurd", "procrastinate", "celery", "temporal", "prefect", "fastapi")
_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "performance-peers.md"


def chosen(names: str) -> list[tuple[str, Peer]]:
    """Peers by name or by the name of their file (``dbos,restate``), all for ``""``; ours are always among them.

    Raises ``ValueError`` for a name that nothing has.
    """
    every = [(file, peer) for file in FILES for peer in import_module(f"bench.peers.{file}").PEERS]
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    known = {file for file, _ in every} | {peer.name for _, peer in every}
    if wanted - known:
        raise ValueError(f"no peer {min(wanted - known)!r}; there are: {', '.join(sorted(known))}")
    return [(file, peer) for file, peer in every if not wanted or file == "ours" or {file, peer.name} & wanted]


def main(arguments: list[str]) -> int:
    """0 when the tables could be made, whoever is missing in them; 1 when nothing of ours was measured; 2 for a wrong
    command."""
    asked = [one.name for one in QUESTIONS if one.name != "cpu"]
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="RCO beside its peers.")
    parser.add_argument("--peers", default="", metavar="A,B", help="only these and ours (default: all)")
    parser.add_argument("--questions", default=",".join(asked), metavar="A,B", help=f"of: {', '.join(asked)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; medians are shown (default: 3)")
    parser.add_argument("--minutes", type=float, default=28.0, help="begin no round that would end later (default: 28)")
    parser.add_argument("--scale", type=float, default=1.0, help="size of a round; 1 is the published size")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write figures, reaches and machine as JSON")
    parser.add_argument("--from", type=Path, dest="source", metavar="FILE", help="measure nothing: read such JSON")
    parser.add_argument("--write", action="store_true", help="write docs/performance-peers.md and its JSON")
    parser.add_argument("--cache", type=Path, default=Path(".bench"), help="where the peers live (default: .bench)")
    parser.add_argument("--folder", type=Path, default=Path(".rco"), help="on the disk to be measured (default: .rco)")
    given = parser.parse_args(arguments)
    questions = [name for name in given.questions.split(",") if name]
    if set(questions) - set(asked):
        parser.error(f"no question {min(set(questions) - set(asked))!r}; there are: {', '.join(asked)}")
    if given.rounds < 1 or not 0 < given.scale <= 10:
        parser.error("give at least one round, and a scale above 0 and up to 10")
    if given.out is not None and not given.out.parent.is_dir():
        parser.error(f"{given.out} cannot be written: there is no folder {given.out.parent}")
    try:
        peers = chosen(given.peers)
    except ValueError as problem:
        parser.error(str(problem))
    if given.source is not None:
        report = msgspec.json.decode(given.source.read_bytes(), type=Report)
    else:
        report = _measured(peers, questions, given)
    show(Console(width=None if sys.stdout.isatty() else 200), report)
    text = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
    if given.out is not None:
        given.out.write_bytes(text)
    if given.write:
        PAGE.with_suffix(".json").write_bytes(text)
        PAGE.write_text(page(report))
    return 0 if any(one.kind == "ours" and one.value is not None for one in report.figures) else 1


def _measured(peers: list[tuple[str, Peer]], questions: list[str], given: argparse.Namespace) -> Report:
    # Late: it needs PostgreSQL's starter from the tests, which a reader of JSON has no use for.
    from bench.peers.running import adopt_orphans, measure

    adopt_orphans()
    given.folder.mkdir(parents=True, exist_ok=True)
    cache = given.cache.resolve()
    folder = Path(tempfile.mkdtemp(prefix="peers-", dir=given.folder)).resolve()
    folder.chmod(0o755)  # started by root, PostgreSQL runs as another user
    machine = {
        **facts(folder),
        "date": datetime.now(UTC).date().isoformat(),
        "load_before": load(),
    }
    progress = Console(stderr=True)
    began = time.monotonic()

    def tell(what: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        progress.print(f"{minutes:2d}:{seconds:02d} {what}", highlight=False, soft_wrap=True)

    try:
        run = measure(
            peers,
            questions,
            rounds=given.rounds,
            limit_s=given.minutes * 60,
            scale=given.scale,
            cache=cache,
            folder=folder,
            tell=tell,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    machine |= {
        "load_after": load(),
        "rounds": run.rounds,
        "scale": given.scale,
        "took_s": round(time.monotonic() - began),
        "postgres": run.postgres,
    }
    found = figures([peer for _, peer in peers], run.answers, run.unavailable, run.versions)
    return Report(machine=machine, figures=found, reaches=judged(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``rco drill``: faults on purpose, and whether what is promised holds meanwhile and afterwards."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from rco.cli.exits import Exit
from rco.cli.output import SHOWN, Shown, print_json, print_json_line, print_table, print_text
from rco.errors import ConfigInvalid, Unreachable

if TYPE_CHECKING:
    from rco.drills.deployment import Deployment
    from rco.drills.running import Report
    from rco.drills.stage import Moment

__all__ = ["app"]

app = App(name="drill", help="Break something on purpose, under load, and see what holds.")
_Flag = Annotated[bool, Parameter(negative="")]
_STATES = {True: ("holds", "green"), False: ("BROKEN", "bold red"), None: ("not seen", "dim")}


@app.command(name="list")
def list_(*, shown: Shown = SHOWN) -> None:
    """List the drills: the fault of each, and what must be seen."""
    from rco.drills.drills import NAMES, drill

    found = [drill(name) for name in NAMES]
    if shown.json:
        print_json(
            [{"name": one.name, "fault": one.about, "expects": one.expects, "anywhere": one.anywhere} for one in found]
        )
        return
    rows = [(one.name, one.about, one.expects, "also --url" if one.anywhere else "") for one in found]
    print_table(("Drill", "Fault", "What must be seen", ""), rows, nothing="No drills.")


@app.command
def run(
    *names: str,
    short: _Flag = False,
    rate: float | None = None,
    out: Path | None = None,
    keep: Path | None = None,
    store: str | None = None,
    url: str | None = None,
    metrics_url: str | None = None,
    provider: str = "drill",
    secret: str | None = None,
    token_file: Path | None = None,
    put_token_file: Path | None = None,
    shown: Shown = SHOWN,
) -> int:
    """Run drills, one after the other, each on a service of its own that is started for it and thrown away. Status 6
    when a promise did not hold.

    Parameters
    ----------
    names
        The drills; all of them when none is named.
    short
        Half a minute each, with a sentinel that waits for seconds instead of a minute: to see that a drill works.
    rate
        Requests a second before the fault: half of them reads, three in ten webhooks, the rest puts.
    out
        Folder for the evidence: a file DRILL-TIME.json for each; this folder when not given.
    keep
        Folder to leave everything in: databases, logs, what was sent, the exported evidence.
    store
        A PostgreSQL server (postgresql://..., or better a reference to it: env:NAME or file:/path) on which each drill
        makes a database of its own, and removes it. Without it the store is a file.
    url
        A deployment to meet instead, for drills that do nothing to its process. It is sent real events.
    metrics_url
        Where that deployment tells its metrics and readiness.
    provider
        Its provider of the kind standard-webhooks that is to receive.
    secret
        The provider's secret by reference: env:NAME or file:/path.
    token_file
        File with the token of a principal who may read events there.
    put_token_file
        File with a capability for write:put; without it nothing is put and nothing is read.
    """
    import uvloop

    from rco.drills.drills import NAMES, drill
    from rco.drills.running import run_drill
    from rco.drills.size import FULL, SHORT

    where = _server(store)
    deployment = _deployment(url, metrics_url, provider, secret, token_file, put_token_file)
    found = [drill(name) for name in names or NAMES if names or deployment is None or drill(name).anywhere]
    size = SHORT if short else FULL
    if rate is not None:
        if not 1 <= rate <= 5_000:
            raise ConfigInvalid(f"a rate of {rate:g}", cure="Give 1 to 5000 requests a second.", key="--rate")
        import msgspec

        size = msgspec.structs.replace(size, rate_per_s=rate)
    evidence = out or Path()
    for folder, option in ((evidence, "--out"), (keep, "--keep")):
        if folder is not None and not folder.is_dir():
            raise ConfigInvalid(f"{folder} is no folder", cure="Make it, or name another.", key=option)
    broken = 0
    for one in found:
        folder = Path(tempfile.mkdtemp(prefix=f"rco-drill-{one.name}-", dir=keep)).resolve()
        try:
            report = uvloop.run(run_drill(one, size, folder, _progress, store=where, deployment=deployment))
        except (RuntimeError, TimeoutError) as problem:
            raise Unreachable(
                f"the drill {one.name} could not be carried out: {problem or 'it took too long'}.",
                cure="Run it with --keep FOLDER and look at service.log.",
            ) from None
        finally:
            if keep is None:
                shutil.rmtree(folder, ignore_errors=True)
        path = _write(report, evidence)
        broken += not report.ok
        if shown.json:
            print_json_line({"evidence": str(path), **_short(report)})
        else:
            _show(report, path)
    return Exit.BROKEN if broken else Exit.OK


def _server(store: str | None) -> str:
    from rco.config import Secrets
    from rco.store.opening import is_postgres

    where = "" if store is None else Secrets(os.environ).opened(store)
    if where and not is_postgres(where):
        raise ConfigInvalid("that is no PostgreSQL server", cure="Write postgresql://..., or env:NAME.", key="--store")
    return where


def _deployment(
    url: str | None,
    metrics_url: str | None,
    provider: str,
    secret: str | None,
    token_file: Path | None,
    put_token_file: Path | None,
) -> Deployment | None:
    from rco.config import Secrets
    from rco.drills.deployment import Deployment

    given = {"--metrics-url": metrics_url, "--secret": secret, "--token-file": token_file}
    if url is None:
        surplus = [name for name, value in given.items() if value is not None]
        if surplus:
            raise ConfigInvalid(f"{surplus[0]} is for a deployment", cure="Give --url too.", key=surplus[0])
        return None
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise ConfigInvalid(f"--url needs {', '.join(missing)}", cure="See rco drill run --help.", key="--url")
    assert metrics_url is not None
    assert secret is not None
    assert token_file is not None
    opened = Secrets(os.environ)(secret)
    if not opened.startswith("whsec_"):
        raise ConfigInvalid("the secret is not one of standard-webhooks", cure="It begins with whsec_.", key="--secret")
    return Deployment(
        url=url.rstrip("/"),
        metrics_url=metrics_url.rstrip("/"),
        provider=provider,
        secret=opened,
        token=token_file.read_text().strip(),
        put_token="" if put_token_file is None else put_token_file.read_text().strip(),
    )


def _progress(moment: Moment) -> None:
    sys.stderr.write(f"{moment.at_s:7.1f} s  {moment.what}\n")
    sys.stderr.flush()


def _write(report: Report, folder: Path) -> Path:
    """The evidence in a file of its own, readable by its owner only."""
    import msgspec

    stamp = report.began_at[:19].replace("-", "").replace(":", "")
    path = folder / f"{report.drill}-{stamp}Z.json"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return path


def _short(report: Report) -> dict[str, object]:
    return {
        "drill": report.drill,
        "ok": report.ok,
        "recovery_s": report.recovery_s,
        "took_s": report.took_s,
        "where": report.where,
        "checks": report.checks,
    }


def _show(report: Report, path: Path) -> None:
    rows = [(_STATES[check.ok], check.name, check.must, check.found) for check in report.checks]
    print_table(("", report.drill, "Must", "Found"), rows, nothing="Nothing was checked.")
    loads = [came for came in report.came if came.kind != "all" and came.phase != "prime"]
    print_table(
        ("Phase", "Kind", "Asked", "Taken", "Refused", "p50 ms", "p95 ms", "p99 ms"),
        [
            (
                came.phase,
                came.kind,
                came.asked,
                came.good,
                ", ".join(f"{count} {reason}" for reason, count in sorted(came.reasons.items())),
                f"{came.p50_ms:.1f}",
                f"{came.p95_ms:.1f}",
                f"{came.p99_ms:.1f}",
            )
            for came in loads
        ],
        nothing="Nothing was sent.",
    )
    said = f"{report.drill}: {'every promise held' if report.ok else 'a promise did not hold'}; evidence in {path}"
    print_text(said, "green" if report.ok else "bold red")

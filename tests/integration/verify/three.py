"""The three records as they can be spoiled, line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rco.verify import Options, Verdict, check
from rco.verify.case import Ledger
from rco.verify.sources import read_client, read_export, read_ledger, read_targets

__all__ = ["Line", "Three", "load"]

Line = dict[str, Any]


@dataclass
class Three:
    """The three records as they can be changed, and the limits."""

    export: list[Line]
    client: list[Line]
    ledger: list[Line]
    targets: dict[str, Any] = field(default_factory=dict)

    def verdict(self, folder: Path, options: Options | None = None) -> Verdict:
        for name in ("export", "client", "ledger"):
            lines = getattr(self, name)
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (folder / "targets.json").write_text(json.dumps(self.targets))
        return check(
            read_export(folder / "export.jsonl"),
            client=read_client(folder / "client.jsonl"),
            ledger=Ledger(read_ledger([folder / "ledger.jsonl"])),
            targets=read_targets(folder / "targets.json"),
            options=options,
        )

    # -- finding things to spoil -----------------------------------------------------------------------------------

    def lines(self, line: str, **wanted: Any) -> list[Line]:
        return [
            one
            for one in self.export
            if one["line"] == line and all(one.get(name) == value for name, value in wanted.items())
        ]

    def run(self, workflow: str) -> Line:
        return self.lines("run", workflow=workflow)[0]

    def record(self, kind: str, workflow: str) -> Line:
        return self.lines("record", run=self.run(workflow)["id"], kind=kind)[0]


def load(folder: Path) -> Three:
    def lines(name: str) -> list[Line]:
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    return Three(
        lines("export.jsonl"),
        lines("client.jsonl"),
        lines("ledger.jsonl"),
        json.loads((folder / "targets.json").read_text()),
    )

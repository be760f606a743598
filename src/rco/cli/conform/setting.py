"""The configuration under which an instance can be asked, in YAML, with the test secrets beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from rco.cli.conform.cases import load_cases

__all__ = ["configuration"]


def configuration(kind: str, folder: Path | None) -> str:
    """What to put into the configuration and into the environment. Raises ``NotFound``."""
    providers: dict[str, Any] = {}
    environment: dict[str, str] = {}
    for case in load_cases(kind, folder):
        settings = dict(case["settings"])
        name = settings.pop("name")
        prefix = re.sub(r"[^A-Z0-9]", "_", name.upper())
        secrets = []
        for secret in settings.pop("secrets", []):
            variable = f"{prefix}_{secret['ref'].removeprefix('env:')}"
            environment[variable] = case["secrets"][secret["ref"]]
            secrets.append({**secret, "ref": f"env:{variable}"})
        providers[name] = {**settings, **({"secrets": secrets} if secrets else {})}
    lines = ["# Test secrets: for trying only. Put them into the environment of the instance."]
    lines += [f"#   {name}={_quoted(value)}" for name, value in environment.items()]
    return "\n".join(lines) + "\n" + yaml.safe_dump({"providers": providers}, sort_keys=False, width=1000)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''").replace("\n", "\\n") + "'"

"""Writes the vectors beside this file. Signatures come from the providers' public libraries, never from RCO.

Run it with the development dependencies: ``python vectors/make.py``. Its output does not change from run to run.
"""

from __future__ import annotations

import json
import pkgutil
from importlib import import_module
from pathlib import Path

import makers

HERE = Path(__file__).parent


def main() -> None:
    for info in pkgutil.iter_modules(makers.__path__):
        maker = import_module(f"makers.{info.name}")
        if hasattr(maker, "cases"):
            text = json.dumps({"kind": maker.KIND, "cases": maker.cases()}, indent=1, ensure_ascii=True)
            (HERE / f"{maker.KIND}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

"""``rco demo``: the main job end to end. Lives in the checkout, beside the example that it runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rco.errors import NotFound

__all__ = ["demo", "find_demo"]

WHERE = Path("examples") / "orders" / "demo.py"


def demo(*, keep: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Run the main job end to end and compare what everybody says happened. Status 0 when nothing was lost or doubled.

    Parameters
    ----------
    keep
        Leave the service running afterwards and print its addresses.
    """
    return find_demo()(keep)


def find_demo() -> Callable[[bool], int]:
    """``main(keep: bool) -> int`` of ``examples/orders/demo.py`` in the checkout this command runs from or stands in.

    Raises ``NotFound`` outside of a checkout.
    """
    here = Path.cwd()
    for folder in (Path(__file__).resolve().parents[3], here, *here.parents):
        path = folder / WHERE
        if path.is_file():
            sys.path.insert(0, str(folder))
            spec = importlib.util.spec_from_file_location("rco_demo", path)
            if spec is None or spec.loader is None:
                break
            module = importlib.util.module_from_spec(spec)
            sys.modules["rco_demo"] = module
            spec.loader.exec_module(module)
            main: Callable[[bool], int] = module.main
            return main
    raise NotFound(f"there is no {WHERE} here.", cure="Run rco demo, or make demo, in a checkout of RCO's repository.")

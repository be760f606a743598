"""Where in an application an error was raised: what its author has to look at first."""

from __future__ import annotations

import sysconfig
from pathlib import Path, PurePath

__all__ = ["place_of"]

_OURS = str(Path(__file__).parents[1]) + "/"
_LIBRARY = sysconfig.get_path("stdlib") + "/"
_INSTALLED = ("/site-packages/", "/dist-packages/")


def place_of(error: BaseException) -> str:
    """``orders.py:12 in fulfil``: the innermost frame of ``error`` that is the application's, or else of a package that
    it uses; empty where there is none. It names no folder, which is the machine's own business."""
    own = installed = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        path = code.co_filename
        if path.startswith("/") and not path.startswith(_OURS):
            place = f"{PurePath(path).name}:{trace.tb_lineno} in {code.co_name}"
            if any(part in path for part in _INSTALLED):
                installed = place
            elif not path.startswith(_LIBRARY):
                own = place
        trace = trace.tb_next
    return own or installed

"""A process that holds secrets leaves no core file."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import resource
from rco.kit.dumps import forbid_dumps
forbid_dumps()
forbid_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_no_core_file_may_be_written() -> None:
    told = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "(0, 0)"

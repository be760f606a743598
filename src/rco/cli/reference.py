"""The reference of the command line, made from the commands themselves: ``python -m rco.cli.reference``."""

from __future__ import annotations

import re
import sys

from rco.cli.exits import MEANING
from rco.cli.tree import make_app

__all__ = ["reference"]

_HEAD = """\
# The command line

Made from the commands themselves; a test keeps it current. To renew it:
`python -m rco.cli.reference > docs/reference/cli.md`.

Errors are one line on standard error that begins with `rco:` and ends with the cure. `--json` gives one JSON value a
line on standard output, stable within a major version. `RCO_DEBUG=1` in the environment adds the traceback.

## Finding the service

Commands that talk to a service find it by `--url` and `--token-file`, by `RCO_URL` and `RCO_TOKEN_FILE`, or by the data
folder of a service that runs here (`RCO_DATA_DIR`, else `.rco`). The token in that folder is sent to that service only.

## Exit statuses

| status | meaning |
| --- | --- |
"""


def reference() -> str:
    """The page as Markdown, the same text at each call."""
    statuses = "".join(f"| {status.value} | {text} |\n" for status, text in MEANING.items())
    app = make_app()
    pages = [
        app[name].generate_docs(output_format="markdown", heading_level=2, usage_name=f"rco {name}")
        for name in sorted(name for name in app if not name.startswith("-"))
    ]
    text = re.sub(r"## Table of Contents\n.*?(?=\*\*Commands)", "", "\n".join(pages), flags=re.DOTALL)
    # Each command says how it is called with the name of the process that asks; here that is always rco.
    text = re.sub(r"^(rco [a-z-]+ [a-z-]+) .*?(?=\[|[A-Z])", r"\1 ", text, flags=re.MULTILINE)
    return _HEAD + statuses + "\n" + "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())

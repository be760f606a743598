"""The command ``rco``. One file a command group; nothing heavy is imported before it is needed."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The console script: run the command line of this process and exit with its status."""
    import sys

    from rco.cli.front import front_page, wants_front

    if wants_front(sys.argv[1:]):
        sys.stdout.write(front_page())
        return

    from rco.cli.serving import serve, serving

    given = serving(sys.argv[1:])
    if given is not None:
        from rco.cli.ending import status_of

        sys.exit(status_of(lambda: serve(given)))

    from rco.cli.entry import run

    sys.exit(run(sys.argv[1:]))

"""The versions of an application that one node has: each loaded from where it lies, beside the others.

The code of one version never sees a module of another: before each is loaded, what the others had from their own
folders is forgotten, and what it imports then is its own. The current version is loaded last, so what is imported only
later, within a function, is the current one's: import at the top.
"""

from __future__ import annotations

from concurrent.futures import Executor

import msgspec

from rco.engine.program import Program
from rco.errors import ConfigInvalid
from rco.model.version import NAME_MAX, is_name, pin
from rco.workflow.application import Application, forget, load_application
from rco.workflow.body import Contents, no_contents
from rco.workflow.calls import Caller, CallerOf
from rco.workflow.transactions import Transactions, no_databases

__all__ = ["AUTO", "Versions", "load_versions"]

AUTO = "auto"
"""Named so, a version is named by the digest of its sources."""


class Versions(msgspec.Struct, frozen=True):
    """``current`` is the application that new runs begin with; ``pool`` is every version by name, the current one among
    them, and ``name`` is its name. Without versions the pool is empty: every run is driven by the current code."""

    current: Application | None = None
    name: str = ""
    pool: dict[str, Application] = {}

    @property
    def digests(self) -> dict[str, str]:
        """What code each version stands for."""
        return {name: application.digest for name, application in self.pool.items()}

    def programs(
        self,
        caller: Caller,
        executor: Executor,
        held: CallerOf | None = None,
        transactions: Transactions = no_databases,
        contents: Contents = no_contents,
    ) -> list[Program]:
        """What new runs begin with."""
        version = pin(self.name) if self.name else ""
        return (
            []
            if self.current is None
            else self.current.programs(caller, executor, held, transactions, version, contents)
        )

    def pooled(
        self,
        caller: Caller,
        executor: Executor,
        held: CallerOf | None = None,
        transactions: Transactions = no_databases,
        contents: Contents = no_contents,
    ) -> dict[str, list[Program]] | None:
        """By pin, the programs of each version; ``None`` where there are no versions."""
        if not self.pool:
            return None
        return {
            pin(name): one.programs(caller, executor, held, transactions, pin(name), contents)
            for name, one in self.pool.items()
        }


def load_versions(app: str, version: str, apps: dict[str, str]) -> Versions:
    """Load ``app`` as ``version``, or all of ``apps`` (by name) with ``version`` as the current one.

    Raises as ``load_application``, and ``ConfigInvalid`` for names that cannot be used or do not fit together.
    """
    if app and apps:
        raise ConfigInvalid("app and apps are both given", cure="Name the application once.", key="apps")
    if apps and version not in apps:
        raise ConfigInvalid(
            f"app_version is {version!r}, which is not among apps ({', '.join(apps)})",
            cure="Say with app_version which of them new runs begin with.",
            key="app_version",
        )
    for name in (*apps, *([version] if version else ())):
        if not is_name(name):
            raise ConfigInvalid(
                f"{name!r} cannot be the name of a version",
                cure=f"Letters, digits, '.', '_', '+' and '-', at most {NAME_MAX}.",
                key="app_version",
            )
    if not apps:
        if not app:
            if version:
                raise ConfigInvalid("app_version without app", cure="Name the application.", key="app_version")
            return Versions()
        if not version:
            return Versions(load_application(app))
        one = load_application(app, version)
        name = one.digest[:12] if version == AUTO else version
        return Versions(one, name, {name: one})
    loaded: dict[str, Application] = {}
    for name in sorted(apps, key=lambda name: name == version):
        for other in loaded.values():
            forget(other.folder)
        loaded[name] = load_application(apps[name], name)
    return Versions(loaded[version], version, loaded)

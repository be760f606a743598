"""An application: a module that users keep in their own repository, with its workflows."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from rco.engine.machine import Machine
from rco.engine.program import Program, StartBody
from rco.errors import ConfigInvalid, Misuse
from rco.kit.digest import digest
from rco.model.subscription import Subscription
from rco.workflow.body import Contents, no_contents
from rco.workflow.calls import Caller, CallerOf
from rco.workflow.context import Context
from rco.workflow.conversion import converter, plain
from rco.workflow.definition import Workflow
from rco.workflow.scan import scan
from rco.workflow.transactions import Transactions, no_databases

__all__ = ["Application", "forget", "load_application"]


class Application(msgspec.Struct, frozen=True):
    """The workflows of a module, and the folder to watch for changes. ``digest``: of the sources of the module and of
    what it imports from its own folder."""

    name: str
    folder: str
    workflows: list[Workflow[Any, Any]]
    digest: str = ""

    def subscriptions(self) -> list[Subscription]:
        """What the workflows ask for with ``on=``."""
        return [one for workflow in self.workflows for one in workflow.subscriptions()]

    def programs(
        self,
        caller: Caller,
        executor: Executor,
        held: CallerOf | None = None,
        transactions: Transactions = no_databases,
        version: str = "",
        contents: Contents = no_contents,
    ) -> list[Program]:
        """The workflows as the engine runs them: calls go through ``caller``, blocking steps to ``executor``.

        ``held``: who calls for a run depends on what it holds, and is asked for with its identity and first record.
        ``version``: what their runs are pinned to; without, each has a digest of its own code."""
        caller_of = held or (lambda _id, _start: caller)
        return [
            _program(workflow, caller_of, executor, transactions, version or workflow.version, contents)
            for workflow in self.workflows
        ]


def load_application(where: str, tag: str = "") -> Application:
    """Load ``path/to/app.py`` or ``package.module``, freshly even if it was loaded before. ``tag`` tells one version of
    a file from another that is loaded beside it.

    Raises ``ConfigInvalid`` when it cannot be imported or has no workflows, ``Misuse`` when a workflow uses what
    cannot be replayed.
    """
    is_path = where.endswith(".py") or "/" in where
    module = _load_file(Path(where), tag) if is_path else _load_module(where)
    folder = str(Path(module.__file__).resolve().parent) if module.__file__ else "."
    found: dict[str, Workflow[Any, Any]] = {}
    for one in vars(module).values():
        if not isinstance(one, Workflow):
            continue
        other = found.setdefault(one.name, one)
        if other is not one:
            raise ConfigInvalid(
                f"two workflows are named {one.name!r}.", cure="Give one another name: @workflow(name=...).", file=where
            )
    if not found:
        raise ConfigInvalid("no workflow in it.", cure="Write: @workflow async def name(ctx, input): ...", file=where)
    for one in found.values():
        problems = scan(one.function)
        if problems:
            raise problems[0]
    return Application(module.__name__, folder, list(found.values()), _digest(module, Path(folder)))


def _digest(module: ModuleType, folder: Path) -> str:
    """Changes with any source that the module has from its folder; where that folder lies makes no difference."""
    files = {Path(module.__file__).resolve()} if module.__file__ else set()
    for one in list(sys.modules.values()):
        file = getattr(one, "__file__", None)
        if file and file.endswith(".py") and "site-packages" not in file:
            path = Path(file).resolve()
            if path.is_relative_to(folder) and not one.__name__.startswith("rco."):
                files.add(path)
    parts = sorted((path.relative_to(folder).as_posix().encode(), path.read_bytes()) for path in files)
    return digest(b"".join(len(part).to_bytes(8, "big") + part for pair in parts for part in pair)).hex()


def _load_file(path: Path, tag: str) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        what = "is a folder." if path.is_dir() else "no such file."
        raise ConfigInvalid(what, cure="Name the application's file, e.g. rco dev app.py.", file=str(path))
    folder = str(path.parent)
    forget(folder)
    if folder in sys.path:
        sys.path.remove(folder)
    # First, also before the folder of another version with modules of the same names.
    sys.path.insert(0, folder)
    name = f"rco_app_{path.stem}" + (f"_{digest(tag.encode())[:6].hex()}" if tag else "")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigInvalid("cannot be loaded as Python.", cure="Name a .py file.", file=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        raise _broken(str(path), problem) from problem
    return module


def _load_module(name: str) -> ModuleType:
    try:
        known = sys.modules.get(name)
        if known is not None and known.__file__:
            forget(str(Path(known.__file__).resolve().parent))
        return importlib.import_module(name)
    except Exception as problem:
        raise _broken(name, problem) from problem


def _broken(where: str, problem: Exception) -> Exception:
    if isinstance(problem, (Misuse, ConfigInvalid)):
        return problem
    line = 0
    trace = problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == where:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(problem, SyntaxError):
        line = problem.lineno or 0
    return ConfigInvalid(
        f"{type(problem).__name__}: {problem}.", cure="Correct the application.", file=where, line=line
    )


def forget(folder: str) -> None:
    """Forget modules below ``folder`` so that they are read again; installed packages stay."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name == "__main__" or "site-packages" in file:
            continue
        if Path(file).resolve().is_relative_to(folder) and not name.startswith("rco."):
            del sys.modules[name]
    importlib.invalidate_caches()


def _program(
    workflow: Workflow[Any, Any],
    caller_of: CallerOf,
    executor: Executor,
    transactions: Transactions,
    version: str,
    contents: Contents,
) -> Program:
    return Program(
        workflow.name,
        version,
        partial(_begin, workflow, converter(workflow.input_type()), caller_of, executor, transactions, contents),
        workflow.queue,
    )


async def _begin(
    workflow: Workflow[Any, Any],
    convert: Any,
    caller_of: CallerOf,
    executor: Executor,
    transactions: Transactions,
    contents: Contents,
    machine: Machine,
    run_id: bytes,
    start: StartBody,
) -> Any:
    given = start.get("input")
    if convert is not None:
        given = convert(given)
    context = Context(machine, start.get("corr_id") or "", caller_of(run_id, start), executor, transactions, contents)
    declared = start.get("attributes")
    if declared is not None:
        machine.attributes = {one[0] for one in declared}
    value = await workflow.function(context, given)
    return plain(value)

"""Simulate whole worlds from seeds: nodes, database, services and clients in one process, under virtual time.

``python -m rco.testing.simulation --seed N`` runs one world and says what broke; ``--verbose`` prints what happened;
``--seeds COUNT`` runs many. The same seed gives the same world, to the last callback, in any process.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from random import Random

import msgspec

from rco.audit.chain import ChainSealer
from rco.kit.digest import digest
from rco.model.effect import Attempt
from rco.model.version import pin
from rco.store.contract.payloads import PayloadUse, UserKind
from rco.testing.checks import Finding, History, check
from rco.testing.clients import Clients
from rco.testing.database import ModelDatabase
from rco.testing.depot import Depot
from rco.testing.fate import Fate
from rco.testing.loop import Exhausted, VirtualLoop
from rco.testing.node import Node
from rco.testing.plan import Plan, draw
from rco.testing.schedules import schedules_of
from rco.testing.secrecy import at_rest, key_of
from rco.testing.shelf import Shelf
from rco.testing.sweeping import swept
from rco.testing.table_payloads import used
from rco.testing.tenant import Tenant
from rco.testing.uploaders import Uploaders
from rco.testing.upstream import Upstream
from rco.testing.wire import Network
from rco.testing.workloads import VERSIONS

__all__ = ["Verdict", "World", "main", "report", "simulate", "swarm"]

LIVE_WITHIN_S = 400.0
"""After the faults have stopped, everything is to end within this."""
STEPS_LIMIT = 600_000


class Verdict(msgspec.Struct, frozen=True):
    """What became of one world. ``digest`` is that of all that happened; ``findings`` empty: nothing broke."""

    seed: int
    findings: tuple[Finding, ...]
    digest: str
    lasted_s: float
    steps: int
    plan: Plan
    trace: tuple[str, ...] = ()


class World:
    """One simulated world."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

        # One generator for each part, so that what one part draws does not depend on how often another does.
        def part(name: str) -> Random:
            return Random(f"{name} {plan.seed}")  # noqa: S311 - not for secrets

        self.random = part("order")
        self.loop = VirtualLoop(self.random.random, steps_limit=STEPS_LIMIT)  # type: ignore[abstract]
        world = self.loop.world
        self.trace: list[str] = []
        self.database = ModelDatabase(ChainSealer(), lambda: world.now_s)
        self.shelf = Shelf(world)
        self.depot: Depot = {}
        self.collected: list[str] = []
        """Objects that were removed although something referred to them."""
        self.shelf.on_removed = self._removed
        self._begin_schedules(plan)
        if plan.erasure:
            self.database.tables.namespace_keys.append(key_of(plan))
        if plan.versions and plan.nodes > 1:
            self.database.make_pools(pin(name) for name in VERSIONS)
        self.network = Network(self.loop, self.database, plan, part("network"))
        self.upstream = Upstream(self.loop, plan, part("upstream"), self._witness)
        self.nodes = [
            Node(
                name,
                self.loop,
                self.network,
                self.upstream,
                plan,
                part(name),
                self.told,
                self.shelf,
                self.depot,
                lambda: self.fate.calm,
            )
            for name in "abcdefgh"[: plan.nodes]
        ]
        self.clients = Clients(self.loop, self.nodes, self.database, self.upstream, plan, part("clients"), self.told)
        self.uploaders = Uploaders(self.loop, self.clients, plan)
        self.clients.swept = lambda: swept(plan, self.database.tables, self.shelf)
        self.tenant: Tenant | None = None
        if plan.erasure:
            self.clients.at_rest = at_rest
            self.tenant = Tenant(self.loop, self.clients, plan)
        self.fate = Fate(self.loop, self.nodes, self.network, self.upstream, plan, part("fate"), self.told)
        self.database.on_commit.append(
            lambda batch, committed: self.told(
                f"commit {batch.chain}/{committed.seal.n} by {batch.writer}: {committed.seal.hash.hex()[:12]}"
            )
        )
        self.database.on_lease.append(lambda node, what, count: self.told(f"{node} {what} {count} shards"))

    def _begin_schedules(self, plan: Plan) -> None:
        tables = self.database.tables
        rows = schedules_of(plan, lambda reference, data: self.shelf.put(reference.name, data))
        tables.schedules = {row.schedule_id: row for row in rows}
        for row in rows:
            if row.payload is not None:
                tables.payloads[PayloadUse(row.payload, UserKind.SCHEDULE, row.schedule_id)] = None

    def told(self, text: str) -> None:
        """Keep a line of what happened."""
        self.trace.append(f"{self.loop.world.now_s:.6f} {text}")

    def _removed(self, name: bytes) -> None:
        self.told(f"{self.loop.current().name} removes payload {name.hex()}")
        if used(self.database.tables, [name]):
            self.collected.append(name.hex())

    def _witness(self, attempt: Attempt) -> tuple[int, str, bool, str]:
        tables = self.database.tables
        self.told(f"{self.loop.current().name} sends {attempt.key}/{attempt.number} of {attempt.run_id.hex()}")
        owner = tables.leases[tables.home(attempt.run_id)][0]
        row = tables.row(attempt.run_id)
        version = row.version if row is not None else ""
        return tables.counts.get(attempt.run_id, 0), owner, attempt.run_id in tables.runs, version

    def run(self) -> History:
        """Live through it. Does not raise for what breaks; that is what the history is for."""
        self.fate.on_calm = self._calm
        self.fate.begin()
        self.clients.begin()
        self.uploaders.begin()
        if self.tenant is not None:
            self.tenant.begin()
        stuck = ""
        collecting = gc.isenabled()
        gc.disable()
        try:
            until_s = self.plan.troubled_s + LIVE_WITHIN_S + self.plan.linger_s
            fate, clients = self.fate, self.clients
            self.loop.run_until(lambda: fate.calm and clients.finished, until_s)
            if not clients.finished:
                stuck = "it did not end in time"
        except Exhausted as problem:
            stuck = str(problem)
        finally:
            if collecting:
                gc.enable()
        problems = [
            f"{one.get('message', '')} {type(one.get('exception')).__name__}: {one.get('exception')}"
            for one in self.loop.problems
        ]
        problems += [f"a task ended with {type(one).__name__}: {one}" for one in self.loop.unheard()]
        return History(
            plan=self.plan,
            tables=self.database.tables,
            log=self.clients.log,
            sent=self.upstream.sent,
            done=self.upstream.done,
            rewinds=self.database.rewinds,
            problems=problems,
            stuck=stuck,
            noticeable=any(node.alias in self.fate.knowing and not node.actor.dead for node in self.nodes),
            ended_s=self.loop.world.now_s,
            shelf=self.shelf,
            depot=self.depot,
            put=self.uploaders.put,
            got=self.uploaders.got,
            collected=self.collected,
            broken=[problem for node in self.nodes for problem in node.broken],
            erased_s=None if self.tenant is None else self.tenant.erased_s,
            looks=[] if self.tenant is None else self.tenant.looks,
        )

    def _calm(self) -> None:
        self.clients.calm = True


def simulate(seed: int, *, plan: Plan | None = None, keep_trace: bool = False) -> Verdict:
    """Run world ``seed`` and check it. ``plan`` instead of the one the seed draws."""
    world = World(plan or draw(seed))
    try:
        history = world.run()
        findings = tuple(check(history))
    finally:
        world.loop.close()
    told = [*world.trace, f"{world.loop.steps} callbacks, next number {world.random.random()}"]
    return Verdict(
        seed,
        findings,
        digest("\n".join(told).encode()).hex(),
        history.ended_s,
        world.loop.steps,
        world.plan,
        tuple(world.trace) if keep_trace else (),
    )


def main(arguments: list[str] | None = None, out: Callable[[str], object] = sys.stdout.write) -> int:
    """The command. 0: nothing broke; 1: something did."""
    parser = argparse.ArgumentParser(prog="python -m rco.testing.simulation", description="Simulate worlds.")
    parser.add_argument("--seed", type=int, default=0, help="the world, or the first of them")
    parser.add_argument("--seeds", type=int, default=1, help="how many worlds")
    parser.add_argument("--jobs", type=int, default=1, help="processes to share them among")
    parser.add_argument("--verbose", action="store_true", help="print all that happened")
    asked = parser.parse_args(arguments)
    seeds = range(asked.seed, asked.seed + asked.seeds)
    if asked.seeds == 1:
        verdict = simulate(asked.seed, keep_trace=asked.verbose)
        if asked.verbose:
            out("".join(f"{line}\n" for line in verdict.trace))
            out(f"{verdict.plan}\n")
        out(report(asked.seed, verdict.findings))
        out(f"seed {asked.seed}: {verdict.steps} callbacks, {verdict.lasted_s:.1f} s, trace {verdict.digest[:16]}\n")
        return 1 if verdict.findings else 0
    broken = 0
    for seed, findings in swarm(seeds, asked.jobs):
        broken += bool(findings)
        out(report(seed, findings))
    out(f"{asked.seeds} worlds, {broken} broke\n")
    return 1 if broken else 0


def swarm(seeds: Iterable[int], jobs: int) -> Iterator[tuple[int, tuple[Finding, ...]]]:
    """(seed, findings) of many worlds, in the order in which ``jobs`` processes finish them."""
    if jobs <= 1:
        yield from map(_judge, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, gc.freeze) as pool:
        yield from pool.imap_unordered(_judge, seeds, chunksize=8)


def _judge(seed: int) -> tuple[int, tuple[Finding, ...]]:
    verdict = simulate(seed)
    # Nothing is collected within a world, where a finalizer would come at a moment of its own.
    gc.collect()
    return seed, verdict.findings


def report(seed: int, findings: Iterable[Finding]) -> str:
    """The findings as lines, and the command that shows them again."""
    lines = [f"seed {seed}: {one.rule}: {one.what}\n" for one in findings]
    if lines:
        lines.append(f"    python -m rco.testing.simulation --seed {seed} --verbose\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main())

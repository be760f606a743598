"""What one world is like: everything drawn from the seed, so that many seeds cover many kinds of world."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from rco.engine.options import EngineOptions
from rco.model.queue import Queue
from rco.model.retention import RetentionClass, RetentionOptions, RunRule
from rco.testing.leases import LeaseOptions

__all__ = ["Plan", "draw"]

SWEPT_WITHIN_S = 45.0
"""What is over its time goes within this, whoever dies meanwhile."""
MOVED_WITHIN_S = 20.0
"""What was left behind is moved within this, once it counts as that."""
RETAINED = 0.25
"""The share of worlds in which what is finished goes after a while."""
ERASED = 0.2
"""The share of worlds with an encrypted namespace."""
LIMITED = 0.4
"""The share of worlds in which a target has limits that bind."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One world. Times in seconds, rates as probabilities per occasion; ``()`` of a pair is (least, most)."""

    seed: int
    nodes: int
    options: EngineOptions
    leases: LeaseOptions
    runs: int
    """How many runs the clients start."""
    start_within_s: float
    troubled_s: float
    """When the faults stop."""
    commit_s: tuple[float, float]
    read_s: tuple[float, float]
    lock_wait: float
    """How often a commit waits for a lock, and for how long at most."""
    lock_wait_s: float
    lost_request: float
    lost_answer: float
    """How often a connection breaks before the database heard, and after."""
    patience_s: float
    """After how long a request without an answer counts as lost."""
    crashes: int
    pauses: int
    pause_s: tuple[float, float]
    partitions: int
    partition_s: tuple[float, float]
    clock_jumps: int
    jump_s: float
    skew_s: float
    drift: float
    fail_overs: int
    stops: int
    """Planned stops of a node, with hand-over."""
    restart_s: tuple[float, float]
    upstream_s: tuple[float, float]
    refuse: float
    limit: float
    lose_before: float
    lose_after: float
    slow: float
    repeat: float
    upstream_timeout_s: float
    cancel: float
    settle_again: float
    """How often a person who finds nothing done has a call in doubt made again instead of failed."""
    pause: float = 0.0
    """How often a run is paused for a while by somebody."""
    queue: Queue | None = None
    """The queue that some of the runs wait in."""
    schedules: int = 0
    """Schedules that there are when the world begins."""
    limit_rate: float | None = None
    """Calls a second that target ``keyed`` takes, over all nodes."""
    limit_burst: int = 1
    limit_concurrency: int = 64
    limit_budget: int = 1_000
    """Calls that target ``metered`` takes, over all nodes and lives."""
    versions: bool = False
    """Whether runs are pinned to one of two versions, which take turns as the current one."""
    pools: tuple[tuple[str, ...], ...] = ()
    """Which versions each node has, where there are several nodes and versions; empty: each has both."""
    move: float = 0.0
    """How often somebody tries to move a run to the other version."""
    payload_over_bytes: int = 0
    """What is larger goes to the object store; 0: nothing does."""
    payload_away: float = 0.0
    """How often it is away while there is trouble."""
    payload_s: float = 0.0
    """How long a way to it takes at most."""
    collect_every_s: float = 0.0
    """How often objects that nothing refers to are looked for; 0: they stay."""
    fork: float = 0.0
    """How often a run is forked at some step."""
    retention: RetentionOptions | None = None
    """How long what is finished is kept; ``None``: for ever."""
    lanes: int = 1
    """How many transactions a node has in flight at a time."""
    erasure: bool = False
    """Whether there is a namespace that is encrypted, until its key is erased."""
    puts: int = 0
    """How often small content is put."""
    put_away: float = 0.0
    """How often the place where it ends is away while there is trouble."""
    put_s: float = 0.0
    """How long a way to it takes at most."""
    put_limit_bytes: int = 1 << 20
    """How much of it may wait to be moved, at each node."""
    put_orphan_s: float = 2.0
    """After how long what waits is taken for left behind."""

    @property
    def clocks_differ_s(self) -> float:
        """How far the wall clocks of two nodes may be apart."""
        return 2 * (self.skew_s + self.clock_jumps * self.jump_s + self.drift * 1000)

    @property
    def collect_grace_s(self) -> float:
        """Longer than it takes anybody to commit what it has put or read, whatever comes in between: what holds up a
        node, its way to the database, a lock; and as far as a clock may be off that measures it."""
        held_up_s = self.pauses * self.pause_s[1] + self.partitions * self.partition_s[1]
        return 5.0 + self.clocks_differ_s + held_up_s + 6 * self.patience_s + 4 * self.lock_wait_s + 8 * self.payload_s

    @property
    def scarce(self) -> bool:
        """Whether calls may have to wait for a limit."""
        return self.limit_rate is not None or self.limit_concurrency < 64 or self.limit_budget < 1_000

    @property
    def crowded(self) -> bool:
        """Whether runs may wait for others so long that a node takes no more for minutes."""
        return self.scarce and self.options.open_runs_limit < 100

    @property
    def linger_s(self) -> float:
        """How long a world goes on at most when all has come to rest, so that what is over its time goes."""
        linger_s = 0.0
        if self.retention is not None:
            longest_s = max(one.keep_s or 0.0 for one in self.retention.classes.values())
            linger_s = longest_s + self.clocks_differ_s + SWEPT_WITHIN_S
        if self.collect_every_s:
            linger_s += self.collect_grace_s + self.clocks_differ_s + 4 * self.collect_every_s + SWEPT_WITHIN_S
        if self.puts:
            linger_s += 3 * self.put_orphan_s + self.clocks_differ_s + MOVED_WITHIN_S
        return linger_s


def _sometimes(random: Random, chance: float, most: float) -> float:
    """0 mostly; else something up to ``most``: many worlds are to be without this trouble."""
    return random.random() * most if random.random() < chance else 0.0


def _count(random: Random, chance: float, most: int) -> int:
    return random.randint(1, most) if random.random() < chance else 0


def _pair(random: Random, least: float, most: float) -> tuple[float, float]:
    low = least * (most / least) ** random.random()
    return low, low * random.choice((1.0, 2.0, 10.0))


def _queue(random: Random) -> Queue | None:
    """Drawn by itself: what else there is in a world does not depend on it."""
    if random.random() < 0.5:
        return None
    return Queue(
        concurrency=random.choice((1, 2, 3)),
        per_key_concurrency=random.choice((None, 1, 2)),
        weights=random.choice(({}, {"k0": 2})),
        ordered=random.choice((False, True)),
    )


def _payloads(random: Random) -> dict[str, Any]:
    """Drawn by itself: most worlds have no object store."""
    if random.random() < 0.7:
        return {}
    return {
        "payload_over_bytes": random.choice((1, 12, 24)),
        "payload_away": random.choice((0.0, 0.1, 0.5)),
        "payload_s": random.choice((0.001, 0.02, 0.5)),
        "collect_every_s": random.choice((0.0, 2.0, 5.0)),
    }


def _puts(random: Random) -> dict[str, Any]:
    """Likewise: most worlds have no content."""
    if random.random() < 0.85:
        return {}
    return {
        "puts": random.randint(3, 20),
        "put_away": random.choice((0.0, 0.1, 0.5)),
        "put_s": random.choice((0.001, 0.02, 0.5)),
        "put_limit_bytes": random.choice((100, 1 << 20, 1 << 20)),
        "put_orphan_s": random.choice((2.0, 10.0)),
    }


def _retention(random: Random) -> RetentionOptions | None:
    """Likewise. Within seconds instead of weeks."""
    if random.random() >= RETAINED:
        return None
    return RetentionOptions(
        every_s=random.choice((0.5, 2.0, 5.0)),
        classes={
            "short": RetentionClass(keep_s=random.choice((2.0, 8.0))),
            "long": RetentionClass(keep_s=random.choice((10.0, 30.0))),
            "ever": RetentionClass(),
        },
        runs=[
            RunRule(keep="ever", workflow="patience"),
            RunRule(keep="long", outcome=random.choice(("failed", "completed"))),
            RunRule(keep="short"),
        ],
        events=random.choice(("", "short")),
    )


def _pools(random: Random, nodes: int) -> tuple[tuple[str, ...], ...]:
    """Every version is on a node; mostly not each on every node."""
    both = ("v1", "v2")
    ways: dict[int, list[tuple[tuple[str, ...], ...]]] = {
        1: [(both,)],
        2: [(both, both), (("v1",), ("v2",)), (("v1",), both), (both, ("v2",))],
        3: [(both, both, both), (("v1",), both, ("v2",)), (("v1",), ("v1",), ("v2",)), (("v2",), both, both)],
    }
    return random.choice(ways.get(nodes, [(both,) * nodes]))


def draw(seed: int, nodes: int | None = None) -> Plan:
    """The plan of world ``seed``; ``nodes`` overrides how many there are."""
    random = Random(f"plan {seed}")  # noqa: S311 - not for secrets
    count = random.choice((1, 1, 2, 2, 3, 3)) if nodes is None else nodes
    ttl_s = random.choice((2.0, 4.0, 8.0))
    options = EngineOptions(
        park_after_s=random.choice((0.0, 0.2, 1.0, 5.0, 30.0)),
        timer_window_s=random.choice((1.0, 5.0, 60.0)),
        loads_at_a_time=random.choice((1, 2, 64)),
        open_runs_limit=random.choice((8, 20_000, 20_000)),
    )
    troubled_s = random.choice((5.0, 15.0, 40.0))
    drawn = Plan(
        seed=seed,
        nodes=count,
        options=options,
        leases=LeaseOptions(ttl_s=ttl_s, beat_s=ttl_s / 4, margin_s=ttl_s / 8, poll_s=random.choice((0.2, 0.5, 2.0))),
        runs=random.randint(3, 14),
        start_within_s=troubled_s * random.choice((0.1, 0.5, 1.0)),
        troubled_s=troubled_s,
        commit_s=_pair(random, 0.0005, 0.02),
        read_s=_pair(random, 0.0005, 0.02),
        lock_wait=_sometimes(random, 0.4, 0.2),
        lock_wait_s=random.choice((0.05, 0.5, 3.0)),
        lost_request=_sometimes(random, 0.4, 0.1),
        lost_answer=_sometimes(random, 0.4, 0.1),
        patience_s=random.choice((0.5, 2.0)),
        crashes=_count(random, 0.7, 4),
        pauses=_count(random, 0.5, 3),
        pause_s=random.choice(((0.1, 1.0), (1.0, ttl_s), (ttl_s, 2 * ttl_s))),
        partitions=_count(random, 0.4, 2),
        partition_s=random.choice(((0.1, 1.0), (1.0, ttl_s), (ttl_s, 2 * ttl_s))),
        clock_jumps=_count(random, 0.3, 3),
        jump_s=random.choice((0.01, 1.0, 10.0)),
        skew_s=_sometimes(random, 0.5, 2.0),
        drift=_sometimes(random, 0.5, 1e-3),
        fail_overs=_count(random, 0.15, 1) if count > 1 else 0,
        stops=_count(random, 0.3, 2),
        restart_s=random.choice(((0.01, 0.1), (0.5, 3.0))),
        upstream_s=_pair(random, 0.001, 0.02),
        refuse=_sometimes(random, 0.5, 0.3),
        limit=_sometimes(random, 0.3, 0.3),
        lose_before=_sometimes(random, 0.4, 0.15),
        lose_after=_sometimes(random, 0.4, 0.15),
        slow=_sometimes(random, 0.3, 0.2),
        repeat=_sometimes(random, 0.3, 0.2),
        upstream_timeout_s=random.choice((0.5, 2.0)),
        cancel=random.choice((0.0, 0.3, 0.8)),
        settle_again=random.random(),
        pause=random.choice((0.0, 0.3, 0.8)),
        fork=random.choice((0.0, 0.5, 1.0)),
        schedules=random.choice((0, 0, 1, 3)),
        queue=_queue(Random(f"queue {seed}")),  # noqa: S311 - likewise
        limit_rate=random.choice((None, 5.0, 20.0, 100.0)),
        limit_burst=random.choice((1, 2, 20)),
        limit_concurrency=random.choice((1, 2, 5, 64)),
        limit_budget=random.choice((1, 5, 12, 1_000)),
        versions=Random(f"versions {seed}").random() < 0.3,  # noqa: S311 - likewise
        **_payloads(Random(f"payloads {seed}")),  # noqa: S311 - likewise
        **_puts(Random(f"puts {seed}")),  # noqa: S311 - likewise
        move=Random(f"move {seed}").choice((0.3, 1.0)),  # noqa: S311 - likewise
        retention=_retention(Random(f"retention {seed}")),  # noqa: S311 - likewise
        erasure=Random(f"erasure {seed}").random() < ERASED,  # noqa: S311 - likewise
        lanes=1 if count == 1 else Random(f"lanes {seed}").choice((1, 2, 3)),  # noqa: S311 - likewise
    )
    if drawn.fail_overs:
        # What was lost in a fail-over is asked for again, by keys that may have gone with their runs by then. And a
        # database that lost an erasure has not erased. Of several chains only one is watched for it in the model.
        # And what was collected does not come back with the runs that a fail-over brings back. Content that stood in
        # the commits which are lost is lost with them.
        drawn = msgspec.structs.replace(drawn, retention=None, erasure=False, lanes=1, collect_every_s=0.0, puts=0)
    if drawn.versions and count > 1:
        pools = _pools(Random(f"pools {seed}"), count)  # noqa: S311 - likewise
        drawn = msgspec.structs.replace(drawn, pools=pools)
    if Random(f"limited {seed}").random() >= LIMITED:  # noqa: S311 - likewise
        drawn = msgspec.structs.replace(drawn, limit_rate=None, limit_concurrency=64, limit_budget=1_000)
    # The object store of these worlds encrypts nothing.
    return msgspec.structs.replace(drawn, payload_over_bytes=0 if drawn.erasure else drawn.payload_over_bytes)

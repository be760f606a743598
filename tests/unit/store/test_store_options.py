"""What an operator sets of a keeper reaches it, and what does not fit together is refused by both."""

from __future__ import annotations

import msgspec
import pytest

from rco.audit.chain import ChainSealer
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.store.opening import open_keeper
from rco.store.options import StoreOptions, faults
from rco.store.postgres.options import PostgresOptions, postgres_options

FAST = StoreOptions(
    node="one",
    heartbeat_s=0.5,
    lease_ttl_s=2.0,
    lease_margin_s=0.4,
    poll_s=0.3,
    flushers=3,
    readers=7,
    pooler=True,
    direct_dsn="postgresql://direct",
)


def test_every_setting_reaches_the_keeper() -> None:
    clock = SystemClock()
    keeper = open_keeper(
        "postgresql://nowhere/x", clock=clock, ids=Ids(clock), sealer=ChainSealer(), node=FAST.node, options=FAST
    )
    assert keeper._options == PostgresOptions(  # type: ignore[attr-defined]
        heartbeat_s=0.5, ttl_s=2.0, margin_s=0.4, poll_s=0.3, flushers=3, readers=7, pooler=True,
        direct_dsn="postgresql://direct",
    )  # fmt: skip
    for field in msgspec.structs.fields(StoreOptions):
        assert getattr(FAST, field.name) != field.default, f"{field.name} is not looked at here"


def test_the_defaults_are_one_thing() -> None:
    assert postgres_options(StoreOptions()) == PostgresOptions()


def test_what_passes_the_check_is_taken_and_the_fast_setting_passes() -> None:
    fitting = 0
    for ttl_s in (0.5, 1.0, 2.0, 3.0, 8.0):
        for beat_s in (0.1, 0.5, 1.0, 2.0, 3.0):
            for margin_s in (0.1, 0.5, 1.0, 4.0):
                options = StoreOptions(lease_ttl_s=ttl_s, heartbeat_s=beat_s, lease_margin_s=margin_s)
                if list(faults(options)):
                    continue
                fitting += 1
                postgres_options(options)
    assert fitting > 10
    assert not list(faults(FAST))
    with pytest.raises(ValueError, match="a lease must outlast"):
        postgres_options(StoreOptions(lease_ttl_s=1.0))

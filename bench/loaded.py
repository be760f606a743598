"""What nearly every question needs, loaded once for all rounds (``bench.forks``). Nothing is run here."""

import asyncpg
import uvloop

import bench.questions.calls
import bench.questions.schedules
import bench.service
import rco.measure.asks
import rco.store.postgres.keeper
import rco.store.sqlite.keeper

__all__: list[str] = []
_USED = (asyncpg, uvloop, bench, rco)

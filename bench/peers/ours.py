"""RCO itself, with all that a service has on: the flush of each commit, evidence, metrics, limits, the guard."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers.contract import Counts, Engine, Peer, Place
from bench.peers.processes import spawn
from bench.signing import SECRET

__all__ = ["PEERS", "engine"]

_ROOT = Path(__file__).parents[2]
_SETTINGS = """\
app: {app}
data_dir: {folder}/data
store: {{path: "{where}"}}
server: {{bind_addr: "127.0.0.1:{port}", metrics_addr: "127.0.0.1:0"}}
limits: {{max_rps: 1000000, burst_rps: 1000000}}
providers:
  shop:
    kind: standard-webhooks
    secrets: [{{secret_id: bench, ref: "env:BENCH_SECRET"}}]
"""


def _prepare(_: Path) -> tuple[str, dict[str, str]]:
    return str(Path(sys.executable).parent), {}


_peer = partial(Peer, kind="ours", installed="this tree", prepare=_prepare, packages=("rco", "asyncpg"))
PEERS = (
    _peer(
        name="rco-sqlite",
        text="RCO on SQLite",
        durability="a commit for many steps, awaited by each: WAL, synchronous=FULL; evidence on",
        counts=Counts(),
    ),
    _peer(
        name="rco-postgres",
        text="RCO on PostgreSQL",
        durability="a commit for many steps, awaited by each: synchronous_commit=on, fsync=on; evidence on",
        counts=Counts(runs=3_000),
        needs_postgres=True,
    ),
)


class _Rco(Engine):
    async def start(self) -> None:
        from bench.peers import ours_app
        from rco.measure.rig import Rig
        from rco.measure.scratch import Place as Store
        from rco.store.opening import migrate_up

        ours_app.EFFECTS = str(self.place.effects)
        await migrate_up(self._where())
        store = Store(where=self._where(), kind="bench", name="bench", server_pid=self.place.postgres_pid)
        self._rig = await Rig(store, ours_app.WORKFLOWS).__aenter__()

    def _where(self) -> str:
        return self.place.postgres or f"{self.place.folder}/rco.db"

    async def stop(self) -> None:
        if hasattr(self, "_rig"):
            await self._rig.__aexit__()

    async def run(self, steps: int) -> None:
        await self._rig.run("steps", steps)

    async def nap(self, seconds: float) -> float:
        return float(await self._rig.result(await self._rig.start("nap", seconds)))

    async def begin(self, runs: int) -> None:
        await asyncio.gather(*(self._rig.start("crashed", run) for run in range(runs)))

    async def receive(self, port: int) -> subprocess.Popen[bytes]:
        from rco.store.opening import migrate_up

        await migrate_up(self._where())
        config = Path(self.place.folder) / "bench.yaml"
        app = _ROOT / "bench" / "app.py"
        config.write_text(_SETTINGS.format(app=app, folder=self.place.folder, where=self._where(), port=port))
        command = [sys.executable, "-m", "rco", "serve", "--config", str(config)]
        log = Path(self.place.folder) / "service.log"
        return spawn(command, log=log, cwd=_ROOT, env={"BENCH_SECRET": SECRET})

    async def accepted(self) -> int:
        """Events whose run has closed: less than what is stored until the last of them has."""
        asked = "SELECT count(*) FROM closed_run WHERE outcome = 'completed'"
        if self.place.postgres:
            import asyncpg

            connection = await asyncpg.connect(self.place.postgres)
            try:
                return int(await connection.fetchval(asked))
            finally:
                await connection.close()
        import sqlite3

        reader = sqlite3.connect(f"file:{self._where()}?mode=ro", uri=True)
        try:
            return int(reader.execute(asked).fetchone()[0])
        finally:
            reader.close()

    def settings(self) -> dict[str, Any]:
        return {"evidence": "on", "metrics": "on", "limits": "defaults; webhooks: 1 000 000 a second"}


def engine(place: Place) -> Engine:
    return _Rco(place)

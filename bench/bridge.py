"""The bridge with all that it has on, and the mix of requests that it is asked with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.service import PATH, Service
from bench.signing import SECRET
from rco.capability.keyfile import rotate
from rco.client import Client
from rco.drills.load import Came, Way
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.measure.scratch import Place
from rco.model.wire_capabilities import MintAsk

__all__ = ["PROVIDER", "Bridge", "keyring", "whole"]

PROVIDER = PATH.rpartition("/")[2]
WORKFLOW, EVENT = "invoice", "invoice.paid"
_TOKEN_S = 1800
_GRANTS = [
    {"to": [f"provider:{PROVIDER}"], "scopes": [f"webhook:accept:{PROVIDER}", f"run:start:{WORKFLOW}"]},
]


class Bridge(Service):
    """``async with Bridge(folder, place) as bridge``: capabilities are enforced, and content is kept in a folder."""

    def __init__(
        self, folder: Path, place: Place, *, ring: Path | None = None, more: dict[str, Any] | None = None
    ) -> None:
        """``ring``: a keyring that several nodes share; else it is made."""
        folder.mkdir(exist_ok=True)
        self.data = folder / "data"
        if ring is None:
            ring = keyring(self.data)
        settings: dict[str, Any] = {
            "capability": {"enforce": True, "keys": f"file:{ring}"},
            "content": {"enabled": True, "inflight": 512},
            "grants": _GRANTS,
        }
        super().__init__(folder, place, more={**settings, **(more or {})})

    def client(self, token: str | None = None) -> Client:
        """A client with ``token``, by default that of the administrator whom this node has made."""
        return Client(f"http://127.0.0.1:{self.port}", token or (self.data / "admin.token").read_text().strip())

    async def way(self, prefix: str, *, record: str = "") -> Way:
        """What a sender needs to send the mix."""
        async with self.client() as client:
            minted = await client.mint(MintAsk(scopes=["write:put"], ttl_ms=_TOKEN_S * 1000))
        return Way(
            url=f"http://127.0.0.1:{self.port}",
            provider=PROVIDER,
            secret=SECRET,
            token=minted.token,
            prefix=prefix,
            event_type=EVENT,
            record=record,
        )


def keyring(folder: Path) -> Path:
    """A new keyring in ``folder``."""
    path = folder / "keyring.json"
    clock = SystemClock()
    rotate(path, ids=Ids(clock), now_us=clock.now_us(), lead_s=0.0, overlap_s=7200.0)
    return path


def whole(came: list[Came], phase: str) -> Came:
    """What came of everything that was sent in one phase."""
    return next(one for one in came if (one.phase, one.kind) == (phase, "all"))

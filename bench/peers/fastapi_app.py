"""A receiver of webhooks, in an environment of its own: one INSERT and one commit for each, nothing started."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, Request, Response
from standardwebhooks import Webhook, WebhookVerificationError

__all__ = ["app"]

_TABLE = """
CREATE TABLE IF NOT EXISTS event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    delivery text NOT NULL,
    headers jsonb NOT NULL,
    body jsonb NOT NULL,
    received timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, delivery)
)
"""
_INSERT = """
INSERT INTO event (provider, delivery, headers, body) VALUES ($1, $2, $3, $4)
ON CONFLICT (provider, delivery) DO NOTHING
"""
_KEPT = ("webhook-id", "webhook-timestamp", "content-type")
_secret = os.environ["BENCH_SECRET"]
_webhook = Webhook(_secret) if _secret else None


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(os.environ["BENCH_POSTGRES"], min_size=10, max_size=10)
    await app.state.pool.execute(_TABLE)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=_life)


@app.get("/readyz")
async def ready() -> dict[str, bool]:
    return {"ready": True}


@app.post("/webhooks/shop", status_code=202)
async def receive(request: Request) -> Response:
    body = (await request.body()).decode()
    headers = request.headers
    if _webhook is not None:
        try:
            _webhook.verify(body, dict(headers))
        except WebhookVerificationError:
            return Response(status_code=401)
    kept = json.dumps({name: headers[name] for name in _KEPT})
    await request.app.state.pool.execute(_INSERT, "shop", headers["webhook-id"], kept, body)
    return Response(b'{"accepted":true}', status_code=202, media_type="application/json")

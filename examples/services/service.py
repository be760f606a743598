"""The frame of a service: faults, idempotency keys and the ledger around a handful of routes."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from examples.services.faults import Fault, choose_fault
from examples.services.ledger import Answered, Ledger

__all__ = ["Route", "Work", "make_app", "run_service"]

Work = Callable[[dict[str, str], dict[str, Any], Ledger], Answered]
"""What a route does: path parameters, JSON body and ledger in, answer and effect out. Called once for each key."""
Route = tuple[str, str, Work]
"""Method, path (aiohttp's form) and work."""

_KEY_LIMIT = 200


def make_app(name: str, routes: list[Route], *, ledger: Ledger, seed: int, hold_s: float) -> web.Application:
    """The service as an application. ``hold_s`` is how long a lost answer is held back."""
    working: dict[str, asyncio.Task[Answered]] = {}

    async def do(key: str, work: Work, parameters: dict[str, str], body: dict[str, Any]) -> Answered:
        try:
            answered = work(parameters, body, ledger)
            await ledger.keep(key, answered)
        finally:
            del working[key]
        return answered

    async def answer_once(key: str, work: Work, parameters: dict[str, str], body: dict[str, Any]) -> Answered:
        if key in ledger.answers:
            return ledger.answers[key]
        if key not in working:
            working[key] = asyncio.create_task(do(key, work, parameters, body))
        # A caller that hangs up does not undo what was begun.
        return await asyncio.shield(working[key])

    def handler(work: Work, *, reads: bool) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            key = request.headers.get("Idempotency-Key", "")
            try:
                body = await request.json() if request.can_read_body else {}
            except ValueError:
                return _refusal(400, "malformed", "The body is not JSON.")
            # Not by key: keys are new in every run, and the faults of a seed should stay the same.
            about = f"{request.method} {request.path} {body.get('order', '')}".strip()
            attempt = ledger.attempts[about] = ledger.attempts.get(about, 0) + 1
            fault = choose_fault(seed, name, about, attempt)
            await ledger.write({"kind": "seen", "about": about, "key": key, "attempt": attempt, "fault": fault.value})
            if fault is Fault.BUSY:
                return _refusal(503, "busy", "Try again in a moment.")
            if not reads and not 0 < len(key) <= _KEY_LIMIT:
                return _refusal(400, "key_needed", f"Send an Idempotency-Key of 1 to {_KEY_LIMIT} characters.")
            parameters = dict(request.match_info)
            try:
                answered = work(parameters, body, ledger) if reads else await answer_once(key, work, parameters, body)
            except (KeyError, TypeError) as wrong:
                return _refusal(422, "incomplete", f"The body does not hold what is needed: {wrong}.")
            if fault is Fault.ANSWER_LOST:
                await asyncio.sleep(hold_s)
            return web.json_response(answered.body, status=answered.status)

        return handle

    app = web.Application()
    for method, path, work in routes:
        app.router.add_route(method, path, handler(work, reads=method == "GET"))
    return app


def _refusal(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": code, "message": message}, status=status)


def run_service(name: str, routes: list[Route]) -> None:
    """Serve on 127.0.0.1 until a signal. Prints ``listening on PORT`` when ready; port 0 takes a free one."""
    parser = argparse.ArgumentParser(prog=f"python -m examples.services.{name}")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path, required=True, help="a JSONL file; made when absent, read when present")
    parser.add_argument("--seed", type=int, default=1, help="chooses which requests fail")
    parser.add_argument("--hold", type=float, default=2.0, help="seconds a lost answer is held back")
    chosen = parser.parse_args()

    async def serve() -> None:
        app = make_app(name, routes, ledger=Ledger(chosen.ledger), seed=chosen.seed, hold_s=chosen.hold)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", chosen.port)
        await site.start()
        print(f"listening on {runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        print(json.dumps({"stopped": name}), flush=True)

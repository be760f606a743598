"""The site: a small service of its own that keeps articles, and does each request once however often it is sent.

``python -m examples.content.site --port 8310`` serves it; ``GET /articles`` tells what is public.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

__all__ = ["Site", "main"]


class Site:
    """Articles, the front page and how often the site map was built, kept in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, Any] = {"articles": {}, "front": [], "maps": [], "answers": {}}
        if path.exists():
            self._kept = json.loads(path.read_text())

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.router.add_get("/articles", self._articles)
        app.router.add_put("/articles/{slug}", self._once)
        app.router.add_delete("/articles/{slug}", self._once)
        app.router.add_post("/front-page", self._once)
        app.router.add_post("/site-map", self._once)
        return app

    async def _articles(self, _: web.Request) -> web.Response:
        kept = {name: self._kept[name] for name in ("articles", "front", "maps")}
        return web.json_response(kept)

    async def _once(self, request: web.Request) -> web.Response:
        """Do what is asked unless its idempotency key was seen; answer the same both times."""
        key = request.headers.get("Idempotency-Key", "")
        answers = self._kept["answers"]
        if key not in answers:
            body = await request.json() if request.can_read_body else {}
            answer = self._do(request.method, request.path, body)
            if key:
                answers[key] = answer
            # The new file is whole before it takes the old one's place.
            draft = self._path.with_suffix(".new")
            await asyncio.to_thread(draft.write_text, json.dumps(self._kept))
            draft.replace(self._path)
            return web.json_response(answer)
        return web.json_response(answers[key])

    def _do(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/front-page":
            self._kept["front"].append(body["slug"])
            return {"front": len(self._kept["front"])}
        if path == "/site-map":
            self._kept["maps"].append(body.get("due", ""))
            return {"articles": len(self._kept["articles"])}
        slug = path.rpartition("/")[2]
        if method == "DELETE":
            self._kept["articles"].pop(slug, None)
            return {"gone": slug}
        self._kept["articles"][slug] = body
        return {"url": f"/articles/{slug}"}


def main() -> None:
    """Serve until stopped; one line on standard output says where."""
    parser = argparse.ArgumentParser(prog="python -m examples.content.site", description="The site of the example.")
    parser.add_argument("--port", type=int, default=8310)
    parser.add_argument("--file", type=Path, default=Path("site.json"))
    given = parser.parse_args()

    async def serve() -> None:
        runner = web.AppRunner(Site(given.file).app())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", given.port)
        await site.start()
        print(f"site on {runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()

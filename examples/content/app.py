"""Content: an article goes public at the minute that was announced, whatever happened to the service meanwhile.

Run it with ``rco dev examples/content/app.py --config examples/content/rco-config.yaml``.
"""

from __future__ import annotations

from typing import Any

from rco.workflow import Context, workflow


@workflow
async def publish(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Put an article on the site and tell the front page. ``given``: slug, title, text, and when it was due."""
    slug = given["slug"]
    # If the front page cannot be told, the article does not stay public unannounced.
    ctx.compensate(withdraw, slug)
    page = {"title": given["title"], "text": given.get("text", ""), "published_at": given.get("due", "")}
    answer = await ctx.call("site", "PUT", f"/articles/{slug}", json=page)
    await ctx.call("site", "POST", "/front-page", json={"slug": slug})
    return {"url": answer.body["url"], "due": given.get("due", "")}


async def withdraw(ctx: Context, slug: str) -> None:
    """Take an article back."""
    await ctx.call("site", "DELETE", f"/articles/{slug}")


@workflow
async def refresh(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Have the site map rebuilt. ``given``: when it was due."""
    answer = await ctx.call("site", "POST", "/site-map", json=given)
    return dict(answer.body)

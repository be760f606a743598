"""Whether webhooks that are streamed to the content store fit what is said of that store."""

from __future__ import annotations

from collections.abc import Callable

from rco.config.settings import Settings

__all__ = ["large_bodies"]

Report = Callable[[str, str, str], object]


def large_bodies(settings: Settings, report: Report) -> None:
    """Report (key, what is wrong, cure)."""
    for name, provider in settings.providers.items():
        limit_bytes, key = provider.large_body_limit_bytes, f"providers.{name}.large_body_limit"
        if limit_bytes is None:
            continue
        if settings.objects.place == "memory" and limit_bytes > settings.objects.memory_limit_bytes:
            report(key, "is more than objects.memory_limit", "Raise that, or keep objects in a folder.")

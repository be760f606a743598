"""Whether the content store can drop what it is to drop, and nothing that is still referred to."""

from __future__ import annotations

from collections.abc import Callable

from rco.config.settings import Settings

__all__ = ["content_retention"]

Report = Callable[[str, str, str], object]


def content_retention(settings: Settings, report: Report) -> None:
    """Report (key, what is wrong, cure)."""
    retention, key = settings.retention, "retention.content"
    if not retention.content:
        return
    if settings.objects.in_bucket:
        report(key, "is given, and content is in a bucket", "Leave it out, and give the bucket a lifecycle rule.")
    if not settings.content.enabled and not settings.any_large:
        report(key, "is given, and there is no content store", "Set content.enabled, or leave it out.")
    keep_us, events_us = retention.keep_us(retention.content), retention.keep_us(retention.events)
    if settings.any_large and keep_us is not None and (events_us is None or events_us > keep_us):
        report(
            key,
            "is kept for less than the events that refer to large bodies in it",
            "Take a class that is kept for longer than that of retention.events.",
        )

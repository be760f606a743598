"""Whether a service that is to keep nothing would keep something."""

from __future__ import annotations

from collections.abc import Callable

from rco.bridge.providers import CATALOGUE
from rco.config.bind import REFERENCE
from rco.config.settings import MEMORY, Settings

__all__ = ["amnesia"]

Report = Callable[[str, str, str], object]


def amnesia(settings: Settings, report: Report) -> None:
    """Report (key, what is wrong, cure)."""
    options = settings.amnesia
    if not options.enabled:
        if settings.store.path.startswith(MEMORY):
            report("store.path", "is memory: what was accepted would be gone at a stop", "Set amnesia.enabled.")
        return
    if options.admin_token and not REFERENCE.fullmatch(options.admin_token):
        # The text is not shown: somebody may have put the token itself here.
        report("amnesia.admin_token", "is not a reference", "Write env:NAME or file:/path.")
    if options.admin_token and options.print_token:
        report("amnesia.print_token", "is set, and admin_token is given", "Keep one of them.")
    for key, given, cure in (
        ("store.path", settings.store.path not in ("", MEMORY), "Leave it out: the store is memory."),
        ("capability.keys", bool(settings.capability.keys), "Leave it out: root keys are made anew at each start."),
        ("encryption.keys", bool(settings.encryption.keys), "Leave it out: nothing is stored that it could protect."),
        ("databases", bool(settings.databases), "Leave them out: what they hold outlives the process."),
        ("brokers", bool(settings.brokers), "Leave them out: what they are told outlives the process."),
        ("tracing.enabled", settings.tracing.enabled, "Leave it off: what a collector is told outlives the process."),
        ("outboxes", bool(settings.outboxes), "Leave them out: what they hold outlives the process."),
        (
            "objects.place",
            settings.objects.place not in ("", "memory")
            or (
                (settings.content.enabled or settings.payloads.object_store_over_bytes or settings.any_large)
                and not settings.objects.place
            ),
            "Write memory.",
        ),
    ):
        if given:
            report(key, "cannot be together with amnesia, which keeps nothing", cure)
    if options.untimed == "accept":
        return
    for name, provider in settings.providers.items():
        kind = CATALOGUE.get(provider.kind)
        if provider.enabled and kind is not None and not kind.signs_time(provider):
            report(
                f"providers.{name}.kind",
                "signs no time, so with amnesia a request from before a start could come in once more",
                "Use a kind or a template that signs one, or set amnesia.untimed: accept.",
            )

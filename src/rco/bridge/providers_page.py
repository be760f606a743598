"""The page of the catalogue, from the kinds themselves: ``python -m rco.bridge.providers_page``."""

from __future__ import annotations

import sys

from rco.bridge.contract import ProviderSettings
from rco.bridge.kind import Kind
from rco.bridge.providers import CATALOGUE

__all__ = ["page", "section"]

_HEAD = """\
# Providers

Made from the kinds themselves; a test keeps it current. To renew it:
`python -m rco.bridge.providers_page > docs/reference/providers.md`.

A provider is somebody who may send events to `POST /webhooks/NAME`. Its `kind` says how its requests are proven;
[Receive webhooks](../how-to/receive-webhooks.md) shows how to set one up. What holds for every kind:

* Several `secrets` at a time, each with `secret_id`, `ref` and, if wanted, `not_before` and `not_after`;
  `svc_interop_secret_matched_total` counts which one matched.
* `age_limit` (5 min) and `skew_limit` (30 s) around a signed time, `body_limit` (1 MiB), `retry_horizon` (for how long
  a repeat is recognised), `bad_signature_status` (401), `rate_per_s` and `burst`.
* `type`, `source`, `subject` and `namespace` of the event.
* `large_body_limit`: bodies over `body_limit`, [streamed to the content store](../how-to/take-large-webhooks.md), where
  the kind can prove a body that it does not hold.

`rco interop conform KIND` puts the kind's published vectors to an instance, with `--url` to one that is live.

## The kinds

| kind | sender | algorithm | signed time |
| --- | --- | --- | --- |
"""


def section(kind: Kind) -> str:
    """What is known of one kind, as Markdown."""
    about = kind.about
    rows = [
        ("Described at", f"<{about.url}>"),
        ("Headers", ", ".join(about.headers)),
        ("Signed", about.signed),
        ("Algorithm", about.algorithm),
        ("Secret", about.credential),
        ("Time", about.time),
        ("Event type", about.type),
        ("A repeat is", about.dedupe),
        ("Handshake", about.handshake),
        ("Answer", about.answer),
        ("Retries", about.retries),
        ("Large bodies", _large(kind)),
        ("Media types", ", ".join(f"`{media}`" for media in kind.content_types)),
    ]
    lines = [f"## {kind.name}", "", f"{about.title}.", ""]
    lines += [f"* **{name}**: {text}" for name, text in rows if text]
    lines += [f"* **scheme.{name}**: {text}" for name, text in about.scheme]
    lines += ["", "```yaml", about.example.rstrip("\n"), "```", ""]
    lines += [f"* {trap}" for trap in about.traps]
    return "\n".join(lines).rstrip("\n") + "\n"


def _large(kind: Kind) -> str:
    reason = kind.whole(ProviderSettings(name="any", kind=kind.name))
    return f"no: {reason}" if reason else "yes"


def page() -> str:
    """The whole page, the same text at each call."""
    rows = [
        f"| [{one.name}](#{one.name}) | {one.about.title} | {one.about.algorithm} | {one.about.time} |\n"
        for one in CATALOGUE.values()
    ]
    return _HEAD + "".join(rows) + "\n" + "\n".join(section(one) for one in CATALOGUE.values())


if __name__ == "__main__":
    sys.stdout.write(page())

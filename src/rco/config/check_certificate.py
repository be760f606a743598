"""What is wrong with the certificate that a configuration names: the one check of it that reads more than the file."""

from __future__ import annotations

from collections.abc import Mapping

from rco.config.load import Loaded
from rco.config.secrets import Secrets
from rco.errors import ConfigInvalid
from rco.kit.clock import SystemClock
from rco.server.tls import read_certificate

__all__ = ["certificate_problems"]


def certificate_problems(loaded: Loaded, environ: Mapping[str, str]) -> list[ConfigInvalid]:
    """At the line of the key, as every other problem. Empty when it can be served, and when TLS is not enabled."""
    tls = loaded.settings.tls
    if not tls.enabled:
        return []
    try:
        read_certificate(tls, Secrets(environ), SystemClock().now_us())
    except ConfigInvalid as problem:
        file, _, line = loaded.origins.get(problem.key, "").rpartition(":")
        at = (file, int(line)) if line.isdecimal() else (loaded.origins.get(problem.key, ""), 0)
        message = problem.message.removeprefix(f"{problem.key}: ")
        return [ConfigInvalid(message, cure=problem.cure, file=at[0], line=at[1], key=problem.key)]
    return []

"""The catalogue of provider kinds. A new kind is a new file here and one line in ``CATALOGUE``."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rco.bridge.contract import Build, Expression, ProviderSettings, Verifier
from rco.bridge.providers import github, hmac, standard_webhooks
from rco.bridge.rules import check_settings, key_of
from rco.bridge.secrets import Opened, Resolve, Secret, active, open_window
from rco.errors import ConfigInvalid

__all__ = ["CATALOGUE", "Kind", "build_verifier"]


class Kind(msgspec.Struct, frozen=True):
    """One provider kind: how its verifier is built, and how its secrets are written."""

    build: Build
    key_from: Callable[[ProviderSettings], Opened]


def _hmac_key(settings: ProviderSettings) -> Opened:
    encoding = settings.scheme.key_encoding if settings.scheme is not None else "raw"
    return lambda text: hmac.key_from(text, encoding)


CATALOGUE: dict[str, Kind] = {
    "standard-webhooks": Kind(standard_webhooks.build, lambda _: standard_webhooks.key_from),
    "github": Kind(github.build, lambda _: github.key_from),
    "hmac": Kind(hmac.build, _hmac_key),
}


def build_verifier(
    settings: ProviderSettings,
    *,
    resolve: Resolve,
    now_us: int,
    compile_expression: Callable[[str], Expression] | None = None,
) -> Verifier:
    """The verifier of an enabled provider, with its secrets opened.

    ``resolve`` is called once per secret; what it gives is kept in memory only. Raises ``ConfigInvalid`` when the
    settings do not hold, a secret cannot be opened, or none is active at ``now_us``: a provider that could verify
    nothing is not built.
    """
    check_settings(settings)
    kind = CATALOGUE.get(settings.kind)
    if kind is None:
        raise ConfigInvalid(
            f"{settings.kind!r} is not a provider kind",
            cure=f"Use one of: {', '.join(sorted(CATALOGUE))}.",
            key=key_of(settings, "kind"),
        )
    subject = None
    if settings.subject is not None:
        if compile_expression is None:
            raise ConfigInvalid(
                "expressions cannot be used here", cure="Leave subject out.", key=key_of(settings, "subject")
            )
        subject = compile_expression(settings.subject)
    # The kind looks at its settings first: a wrong scheme should be told before a missing secret.
    kind.build(settings, (), subject)
    secrets = _open_secrets(settings, kind.key_from(settings), resolve)
    if not any(active(secret, now_us) for secret in secrets):
        raise ConfigInvalid(
            "none of the secrets is active now",
            cure="Add one whose not_before and not_after hold this moment, or set enabled to false.",
            key=key_of(settings, "secrets"),
        )
    return kind.build(settings, secrets, subject)


def _open_secrets(settings: ProviderSettings, key_from: Opened, resolve: Resolve) -> tuple[Secret, ...]:
    key = key_of(settings, "secrets")
    opened = []
    for ref in settings.secrets:
        first_us, last_us = open_window(ref.not_before, ref.not_after, key)
        text = resolve(ref.ref)
        if ref.ref.startswith("file:"):
            # A file that was written by an editor or by echo ends in a line end that is not part of the secret.
            text = text.removesuffix(b"\n").removesuffix(b"\r")
        try:
            opened.append(Secret(ref.secret_id, key_from(text), first_us, last_us))
        except ValueError as error:
            raise ConfigInvalid(
                f"secret {ref.secret_id!r} cannot be used: {error}",
                cure="Put the secret there exactly as the provider shows it.",
                key=key,
            ) from None
    return tuple(opened)

"""The catalogue of provider kinds: every module in this folder declares one as ``KIND``. A new kind is a new file."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from rco.bridge.certificates import Certificates
from rco.bridge.contract import Expression, ProviderSettings, Verifier
from rco.bridge.kind import Kind, Materials
from rco.bridge.rules import check_settings, key_of
from rco.bridge.secrets import Resolve, Secret, active, open_window
from rco.errors import ConfigInvalid

__all__ = ["CATALOGUE", "build_verifier", "check_provider", "kind_of"]


class _Catalogue(Mapping[str, Kind]):
    """By name, which is that of the module with dashes. A kind is loaded when it is asked for: the libraries of some
    take long."""

    def __init__(self) -> None:
        self._names = sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(__path__))

    def __getitem__(self, name: str) -> Kind:
        if name not in self._names:
            raise KeyError(name)
        kind: Kind = import_module(f"{__name__}.{name.replace('-', '_')}").KIND
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


CATALOGUE: Mapping[str, Kind] = _Catalogue()


def kind_of(settings: ProviderSettings) -> Kind:
    """The kind that these settings name. Raises ``ConfigInvalid``."""
    kind = CATALOGUE.get(settings.kind)
    if kind is None:
        raise ConfigInvalid(
            f"{settings.kind!r} is not a provider kind",
            cure=f"Use one of: {', '.join(sorted(CATALOGUE))}.",
            key=key_of(settings, "kind"),
        )
    return kind


def check_provider(settings: ProviderSettings) -> Kind:
    """Check everything that can be checked without opening a secret. Raises ``ConfigInvalid``."""
    check_settings(settings)
    kind = kind_of(settings)
    if kind.key_from is None and settings.secrets:
        raise ConfigInvalid(
            f"kind {kind.name} has no secrets: its proof is a certificate",
            cure="Leave secrets out.",
            key=key_of(settings, "secrets"),
        )
    if kind.key_from is not None and not settings.secrets:
        raise ConfigInvalid(
            "0 secrets; there must be at least one",
            cure="Without a secret nothing can be verified; during a rotation name the old and the new one.",
            key=key_of(settings, "secrets"),
        )
    if settings.large_body_limit_bytes is not None and (reason := kind.whole(settings)):
        raise ConfigInvalid(
            f"kind {kind.name} needs the whole body: {reason}",
            cure="Leave it out; body_limit may be raised to 64MiB, and each such body is then held in memory.",
            key=key_of(settings, "large_body_limit_bytes"),
        )
    kind.build(Materials(settings=settings, certificates=Certificates()))
    return kind


def build_verifier(
    settings: ProviderSettings,
    *,
    resolve: Resolve,
    now_us: int,
    compile_expression: Callable[[str], Expression] | None = None,
    certificates: Certificates | None = None,
) -> Verifier:
    """The verifier of an enabled provider, with its secrets opened.

    ``resolve`` is called once per secret; what it gives is kept in memory only. Without ``certificates`` nothing is
    fetched. Raises ``ConfigInvalid`` when the settings do not hold, a secret cannot be opened, or none is active at
    ``now_us``: a provider that could verify nothing is not built.
    """
    # The kind looks at its settings first: a wrong scheme should be told before a missing secret.
    kind = check_provider(settings)
    subject = None
    if settings.subject is not None:
        if compile_expression is None:
            raise ConfigInvalid(
                "expressions cannot be used here", cure="Leave subject out.", key=key_of(settings, "subject")
            )
        subject = compile_expression(settings.subject)
    secrets: tuple[Secret, ...] = ()
    if kind.key_from is not None:
        secrets = _open_secrets(settings, kind, resolve)
        if not any(active(secret, now_us) for secret in secrets):
            raise ConfigInvalid(
                "none of the secrets is active now",
                cure="Add one whose not_before and not_after hold this moment, or set enabled to false.",
                key=key_of(settings, "secrets"),
            )
    return kind.build(
        Materials(settings=settings, secrets=secrets, subject=subject, certificates=certificates or Certificates())
    )


def _open_secrets(settings: ProviderSettings, kind: Kind, resolve: Resolve) -> tuple[Secret, ...]:
    key = key_of(settings, "secrets")
    key_from = kind.key_from(settings) if kind.key_from is not None else bytes
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

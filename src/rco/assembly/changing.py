"""What of the settings may change while a service runs."""

from __future__ import annotations

from rco.config.settings import Settings
from rco.errors import ConfigInvalid

__all__ = ["require_changeable"]

_FIXED = (
    (("capability", "vault"), "capability and vault do not change while the service runs"),
    (("databases", "outboxes"), "databases and outboxes do not change while the service runs"),
    (("webhooks",), "webhooks do not change while the service runs"),
    (("amnesia",), "amnesia does not change while the service runs"),
    (("tracing",), "tracing does not change while the service runs"),
    (("audit",), "audit does not change while the service runs"),
    (("brokers", "publish", "sources"), "brokers, publish and sources do not change while the service runs"),
    (("payloads",), "payloads do not change while the service runs"),
    (("encryption",), "encryption does not change while the service runs"),
)
_CODE = ("app", "app_version", "apps")


def require_changeable(held: Settings, asked: Settings, *, versions: bool) -> None:
    """Raise ``ConfigInvalid`` when ``asked`` differs from ``held`` in what waits for a restart. ``versions``: runs are
    pinned to the code of the start, which then stays as it is."""
    for keys, problem in _FIXED:
        if _differs(held, asked, keys):
            raise ConfigInvalid(problem, cure="Restart it.", key=keys[0])
    if held.tls.enabled != asked.tls.enabled:
        raise ConfigInvalid("TLS does not come or go while the service runs", cure="Restart it.", key="tls.enabled")
    if versions and _differs(held, asked, _CODE):
        raise ConfigInvalid("versions do not change while the service runs", cure="Restart it.", key="apps")


def _differs(held: Settings, asked: Settings, keys: tuple[str, ...]) -> bool:
    return any(getattr(held, key) != getattr(asked, key) for key in keys)

"""Keys of namespaces: make, rotate, list, erase."""

from __future__ import annotations

from rco.encryption.keys import Keys
from rco.errors import Conflict, NotFound
from rco.kit.clock import iso
from rco.model.decision import Decision, Verb
from rco.model.principal import Principal, Role
from rco.model.wire_namespace_keys import Erased, KeyStage, NamespaceKeyAsk, NamespaceKeyPage, NamespaceKeyView
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.recording import record
from rco.store.contract.namespace_keys import NamespaceKey

__all__ = ["create", "erase", "list_keys", "rotate"]


async def create(desk: Desk, principal: Principal, ask: NamespaceKeyAsk) -> NamespaceKeyView:
    """Give ``ask.namespace`` its first key, or its first after an erasure. Needs the administrator's role.

    When this returns it is durable, and this node encrypts with it; the others do within a second. What was written
    before stays as it is. Raises ``Conflict`` when there is a key, ``NotFound`` where encryption is not set up.
    """
    keys = await _entered(desk, principal, ask)
    if any(key.namespace == ask.namespace and key.erased_us is None for key in keys.listed()):
        raise Conflict(f"namespace {ask.namespace!r} has a key.", cure="rco namespace-key rotate makes the next one.")
    made = await keys.make(ask.namespace, lead_s=0, actor=_actor(principal), reason=ask.reason)
    await _record(desk, principal, ask, "create", made)
    return _view(keys, made, desk.clock.now_us())


async def rotate(desk: Desk, principal: Principal, ask: NamespaceKeyAsk) -> NamespaceKeyView:
    """Give ``ask.namespace`` its next key, and wrap those it has under the newest root key. Needs the administrator's
    role.

    The new key encrypts ``encryption.lead`` from now; those before it go on decrypting what they encrypted. Raises
    ``NotFound`` when it has none.
    """
    keys = await _entered(desk, principal, ask)
    if not any(key.namespace == ask.namespace and key.erased_us is None for key in keys.listed()):
        raise NotFound(f"namespace {ask.namespace!r} has no key.", cure="rco namespace-key create makes one.")
    made = await keys.make(ask.namespace, lead_s=desk.key_lead_s, actor=_actor(principal), reason=ask.reason)
    rewrapped = await keys.rewrap(ask.namespace)
    await _record(desk, principal, ask, "rotate", made, rewrapped=rewrapped)
    return _view(keys, made, desk.clock.now_us())


async def erase(desk: Desk, principal: Principal, ask: NamespaceKeyAsk) -> Erased:
    """Erase every key of ``ask.namespace``, and with them every payload that they encrypted. Needs the administrator's
    role. There is no way back.

    When this returns it is durable and holds on this node; on the others it does within a second. Open runs of the
    namespace are blocked. A second call erases nothing more. Raises ``NotFound`` when it never had a key.
    """
    keys = await _entered(desk, principal, ask)
    await keys.read()
    if not any(key.namespace == ask.namespace for key in keys.listed()):
        raise NotFound(
            f"namespace {ask.namespace!r} never had a key.", cure="What is not encrypted cannot be erased so."
        )
    # First what protects, then its evidence: a crash in between leaves rows that themselves say who and why.
    count = await keys.erase(ask.namespace, actor=_actor(principal), reason=ask.reason)
    await _record(desk, principal, ask, "erase", None, keys=count)
    return Erased(namespace=ask.namespace, keys=count)


async def list_keys(desk: Desk, principal: Principal) -> NamespaceKeyPage:
    """Every key of the namespaces that the principal may enter, without its bytes. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    keys = desk.namespace_keys
    if keys is None:
        return NamespaceKeyPage(items=[])
    await keys.fresh()
    shown = [key for key in keys.listed() if principal.may_enter(key.namespace)]
    return NamespaceKeyPage(items=[_view(keys, key, desk.clock.now_us()) for key in shown])


async def _entered(desk: Desk, principal: Principal, ask: NamespaceKeyAsk) -> Keys:
    """The keys, for an administrator of a namespace that there is. A tenant's may erase what is the tenant's. Raises
    ``NotFound`` alike for what is not there and for what is not theirs."""
    require(principal, Role.ADMIN)
    keys = _keys(desk)
    known = {row.name for row in await desk.reader.namespaces()}
    if not principal.may_enter(ask.namespace) or ask.namespace not in known:
        raise NotFound(f"no namespace {ask.namespace!r}.", cure="See rco namespace list.")
    return keys


def _keys(desk: Desk) -> Keys:
    if desk.namespace_keys is None:
        raise NotFound(
            "payloads are not encrypted here.", cure="Set encryption.keys; see docs/how-to/encrypt-payloads.md."
        )
    return desk.namespace_keys


def _actor(principal: Principal) -> str:
    return f"principal:{principal.principal_id}"


def _view(keys: Keys, key: NamespaceKey, now_us: int) -> NamespaceKeyView:
    return NamespaceKeyView(
        id=key.key_id.hex(),
        namespace=key.namespace,
        version=key.version,
        state=_stage(keys, key, now_us),
        root_kid=key.root_kid,
        made_at=iso(key.made_us),
        encrypts_from=iso(key.from_us),
        actor=key.actor,
        reason=key.reason,
        erased_at=None if key.erased_us is None else iso(key.erased_us),
        erased_by=key.erased_by,
        erased_why=key.erased_why,
    )


def _stage(keys: Keys, key: NamespaceKey, now_us: int) -> KeyStage:
    if key.erased_us is not None:
        return "erased"
    if not keys.is_open(key.key_id):
        return "locked"
    writing = keys.writing(key.namespace)
    if writing is not None and writing.key_id == key.key_id:
        return "encrypting"
    return "waiting" if key.from_us > now_us else "decrypting"


async def _record(
    desk: Desk,
    principal: Principal,
    ask: NamespaceKeyAsk,
    did: str,
    key: NamespaceKey | None,
    **facts: str | int | bool,
) -> None:
    if key is not None:
        facts = {"key": key.key_id.hex(), "version": key.version, "kid": key.root_kid, **facts}
    decision = Decision(
        verb=Verb.KEY,
        at_us=desk.clock.now_us(),
        actor=_actor(principal),
        subject=ask.namespace,
        reason=ask.reason,
        facts={"did": did, **facts},
    )
    await record(desk, decision)

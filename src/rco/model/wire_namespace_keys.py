"""Keys of namespaces, as the API shows and takes them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from rco.model.body import Ask, View

__all__ = ["Erased", "NamespaceKeyAsk", "NamespaceKeyPage", "NamespaceKeyView"]

Namespace = Annotated[str, Meta(min_length=1, max_length=128)]
Why = Annotated[str, Meta(min_length=1, max_length=1000)]
KeyStage = Literal["waiting", "encrypting", "decrypting", "erased", "locked"]


class NamespaceKeyAsk(Ask, frozen=True, kw_only=True):
    """Do something with the keys of ``namespace``; the reason stays as evidence."""

    namespace: Namespace
    reason: Why


class NamespaceKeyView(View, frozen=True, kw_only=True):
    """One key without its bytes. ``state``: waiting until every node has it, encrypting what is new, decrypting what is
    old, erased, or locked because no root key opens it on this node."""

    id: str
    namespace: str
    version: int
    state: KeyStage
    root_kid: str
    made_at: str
    encrypts_from: str
    actor: str
    reason: str
    erased_at: str | None = None
    erased_by: str = ""
    erased_why: str = ""


class NamespaceKeyPage(View, frozen=True, kw_only=True):
    """Every key there is or was, by namespace and version."""

    items: list[NamespaceKeyView]


class Erased(View, frozen=True, kw_only=True):
    """How many keys of ``namespace`` were erased by this call; none when they were before."""

    namespace: str
    keys: int

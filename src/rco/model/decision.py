"""A decision: the unit of evidence. Every one leaves a record in the audit chain."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Decision", "Verb"]


class Verb(StrEnum):
    """What was decided on. A closed set, as an auditor's filters depend on it."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    HANDSHAKE = "handshake"
    START = "start"
    CALL = "call"
    RETRY = "retry"
    SIGNAL = "signal"
    CANCEL = "cancel"
    TERMINATE = "terminate"
    FORK = "fork"
    MOVE = "move"
    BULK = "bulk"
    RESET = "reset"
    PAUSE = "pause"
    RESUME = "resume"
    CLOSE = "close"
    SETTLE = "settle"
    BLOCK = "block"
    REPLAY = "replay"
    DEAD_LETTER = "dead_letter"
    DISMISS = "dismiss"
    CONFIG = "config"
    NODE = "node"
    RECONCILE = "reconcile"
    TRIM = "trim"
    MINT = "mint"
    REVOKE = "revoke"
    SCHEDULE = "schedule"
    DISPATCH = "dispatch"
    QUEUE = "queue"
    BROWNOUT = "brownout"
    PRINCIPAL = "principal"
    NAMESPACE = "namespace"
    RETAIN = "retain"
    SWITCH = "switch"
    KEY = "key"
    ENDPOINT = "endpoint"
    PUBLISH = "publish"
    CHECKPOINT = "checkpoint"


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who decided what about which thing, and why.

    Holds names, digests and numbers; never a payload, a secret or a token. ``facts`` holds what belongs to the verb
    (target, method, status, attempt, latency bucket, key id): strings, integers and booleans only.
    """

    verb: Verb
    at_us: int
    allow: bool = True
    actor: str = ""
    subject: str = ""
    """What it is about: a provider, a workflow, a target, a setting."""
    run: str = ""
    event: str = ""
    corr_id: str = ""
    reason: str = ""
    b3: str = ""
    """``b3:`` digest of the payload that was decided on."""
    facts: dict[str, str | int | bool] = {}

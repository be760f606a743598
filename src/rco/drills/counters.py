"""The bridge's own counters, as ``/metrics`` tells them."""

from __future__ import annotations

from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from rco.drills.load import KINDS

__all__ = ["ROUTES", "Counters", "read_counters"]

ROUTES = {"get": "/o/{address}", "webhook": "/webhooks/{provider}", "put": "/put"}
"""The route of each kind of request, as the bridge counts it."""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What one process has counted since its start."""

    answers: dict[str, dict[str, int]]
    """By kind of request, then by status."""
    refused: dict[str, int]
    """By reason."""
    dropped: int = 0
    """Decisions that the audit's queue lost."""
    brownout: bool = False
    backlog: int = 0
    """Rows that wait for the store."""
    open_runs: int = 0
    resident_bytes: int = 0
    descriptors: int = 0

    @property
    def received(self) -> int:
        return sum(sum(found.values()) for found in self.answers.values())

    @property
    def accepted(self) -> int:
        return sum(
            count for found in self.answers.values() for status, count in found.items() if 200 <= int(status) < 400
        )

    def since(self, before: Counters) -> Counters:
        """What was counted after ``before``; what is no counter stays as it is now."""
        return msgspec.structs.replace(
            self,
            answers={kind: _less(found, before.answers.get(kind, {})) for kind, found in self.answers.items()},
            refused=_less(self.refused, before.refused),
            dropped=self.dropped - before.dropped,
        )


def _less(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: rest for name, count in after.items() if (rest := count - before.get(name, 0))}


def read_counters(text: str) -> Counters:
    """The counters in the text of ``/metrics``."""
    answers: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    refused: dict[str, int] = {}
    found: dict[str, int] = {}
    kinds = {route: kind for kind, route in ROUTES.items()}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels: dict[str, Any] = sample.labels
            match sample.name:
                case "svc_interop_requests_total":
                    kind = kinds.get(labels["route"])
                    if kind is not None:
                        by_status = answers[kind]
                        by_status[labels["status"]] = by_status.get(labels["status"], 0) + int(sample.value)
                case "svc_interop_rejected_total":
                    refused[labels["reason"]] = int(sample.value)
                case "svc_interop_audit_drop_total" | "svc_interop_brownout_active" | "rco_writer_backlog":
                    found[sample.name] = found.get(sample.name, 0) + int(sample.value)
                case "rco_open_runs" | "process_resident_memory_bytes" | "process_open_fds":
                    found[sample.name] = found.get(sample.name, 0) + int(sample.value)
    return Counters(
        answers=answers,
        refused=refused,
        dropped=found.get("svc_interop_audit_drop_total", 0),
        brownout=bool(found.get("svc_interop_brownout_active", 0)),
        backlog=found.get("rco_writer_backlog", 0),
        open_runs=found.get("rco_open_runs", 0),
        resident_bytes=found.get("process_resident_memory_bytes", 0),
        descriptors=found.get("process_open_fds", 0),
    )

"""Every signal is named as its contract says and documented from the table itself."""

import re

import pytest

from rco.telemetry.catalogue import catalogue_markdown
from rco.telemetry.fields import ALWAYS, FIELDS
from rco.telemetry.signal import Kind, Signal
from rco.telemetry.signals import CATALOGUE

# The contract, by hand: what operators' dashboards ask for.
CONTRACT = {
    "rco_request_latency_seconds": set(),
    "rco_requests_total": {"code"},
    "rco_inflight_requests": set(),
    "rco_downstream_failures_total": {"target"},
    "svc_interop_requests_total": {"route", "method", "status"},
    "svc_interop_latency_seconds": {"route", "method"},
    "svc_interop_inflight": {"route"},
    "svc_interop_rejected_total": {"reason"},
    "svc_interop_busy_rejections_total": {"endpoint"},
    "svc_interop_quota_exhaustions_total": {"scope"},
    "svc_interop_audit_emitted_total": {"sink"},
    "svc_interop_audit_drop_total": set(),
    "svc_interop_queue_depth": {"queue"},
    "svc_interop_webhook_verify_total": {"provider", "result"},
}
LOG_ALWAYS = {"timestamp", "level", "trace_id", "request_id", "user_id", "route", "code"}
LOG_BRIDGE = {
    *("ts", "level", "service", "event", "reason", "corr_id", "trace_id", "route", "method", "status", "latency_ms"),
    *("provider", "req_id", "b3_hash", "size_bytes"),
}
FORBIDDEN_LABELS = {
    "user",
    "user_id",
    "run",
    "run_id",
    "id",
    "corr_id",
    "trace_id",
    "request_id",
    "path",
    "event_id",
    "key",
}


@pytest.mark.parametrize("signal", CATALOGUE, ids=lambda signal: signal.name)
def test_a_signal_is_well_made(signal: Signal) -> None:
    assert re.fullmatch(r"(?:rco|svc_interop)(?:_[a-z0-9]+)+", signal.name)
    assert re.fullmatch(r"[A-Z].*\.", signal.help)
    assert all(re.fullmatch(r"[a-z][a-z_]*", label) and label != "le" for label in signal.labels)
    assert len(set(signal.labels)) == len(signal.labels)
    assert not FORBIDDEN_LABELS & set(signal.labels)
    assert signal.name.endswith("_total") is (signal.kind is Kind.COUNTER)
    if signal.kind is Kind.HISTOGRAM:
        assert signal.name.endswith(("_seconds", "_bytes"))
        assert signal.buckets == tuple(sorted(set(signal.buckets)))
        assert signal.buckets[0] > 0
    else:
        assert not signal.buckets


def test_no_two_signals_share_a_name() -> None:
    names = [signal.name for signal in CATALOGUE]
    assert len(set(names)) == len(names)
    written = {f"{s.name}{end}" for s in CATALOGUE if s.kind is Kind.HISTOGRAM for end in ("_bucket", "_sum", "_count")}
    assert not written & set(names)


@pytest.mark.parametrize("name", CONTRACT)
def test_the_contract_is_kept(name: str) -> None:
    (signal,) = [signal for signal in CATALOGUE if signal.name == name]
    assert set(signal.labels) == CONTRACT[name]


def test_the_objective_is_a_bound_of_the_latency() -> None:
    (latency,) = [signal for signal in CATALOGUE if signal.name == "rco_request_latency_seconds"]
    assert 0.35 in latency.buckets
    (interop,) = [signal for signal in CATALOGUE if signal.name == "svc_interop_latency_seconds"]
    assert interop.buckets == (0.005, 0.01, 0.025, 0.05, 0.1, 0.12, 0.25, 0.3, 0.5, 1.0, 2.0, 5.0)


def test_the_fields_of_the_contract_may_be_logged() -> None:
    assert set(FIELDS) >= LOG_ALWAYS | LOG_BRIDGE
    assert set(ALWAYS) == LOG_ALWAYS


def test_the_reference_is_generated_from_the_tables() -> None:
    text = catalogue_markdown()
    assert text == catalogue_markdown()
    for signal in CATALOGUE:
        assert text.count(f"| `{signal.name}` | {signal.kind} |") == 1
    for name in FIELDS:
        assert f"| `{name}` |" in text
    assert "Bounds: 0.001 0.0025" in text
    for line in text.splitlines():
        assert line.count("|") in (0, 4, 5), line

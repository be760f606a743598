"""The catalogue: every signal there is, and the only place where one is declared.

Names are what operators' dashboards use: ``svc_interop_*`` for the bridge, ``rco_*`` for the rest. Labels take their
values from finite sets; no request, user or payload value is ever one. A name ends in its unit; counters in ``_total``.
"""

from __future__ import annotations

from rco.telemetry.signal import Kind, Signal

__all__ = ["CATALOGUE"]

# 350 ms is the objective for p95, so it is a bound: the share under it is read off, not interpolated.
_REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0)
_INTEROP_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.12, 0.25, 0.3, 0.5, 1.0, 2.0, 5.0)
_CALL_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_COMMIT_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
_LATENESS_S = (0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0)
_WAIT_S = (0.005, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 86400.0)
_RUN_S = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 86400.0)


def _counter(name: str, help: str, *labels: str) -> Signal:
    return Signal(name=name, kind=Kind.COUNTER, help=help, labels=labels)


def _gauge(name: str, help: str, *labels: str) -> Signal:
    return Signal(name=name, kind=Kind.GAUGE, help=help, labels=labels)


def _histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Signal:
    return Signal(name=name, kind=Kind.HISTOGRAM, help=help, labels=labels, buckets=buckets)


# The service.
REQUEST_LATENCY = _histogram("rco_request_latency_seconds", "Time from request to answer, all routes.", _REQUEST_S)
REQUESTS = _counter("rco_requests_total", "Requests answered, by HTTP status.", "code")
INFLIGHT_REQUESTS = _gauge("rco_inflight_requests", "Requests now being worked on.")
DOWNSTREAM_FAILURES = _counter(
    "rco_downstream_failures_total", "Attempts of governed calls that failed, by target.", "target"
)
INFO = _gauge("rco_info", "Always 1; the label tells which version runs.", "version")
TLS_NOT_AFTER = _gauge(
    "rco_tls_certificate_not_after_seconds", "When the listener's certificate expires, in seconds of Unix time."
)
TLS_REVOCATIONS_UNTIL = _gauge(
    "rco_tls_client_revocations_until_seconds",
    "When the first of the revocation lists for clients expires, in seconds of Unix time; 0 without one.",
)
READY = _gauge("rco_ready", "Whether the service takes new work: 1 or 0.")
LOG_LINES_LOST = _counter("rco_log_lines_lost_total", "Log lines that could not be written.")
SPANS = _counter("rco_spans_total", "Spans by what became of them (sent, refused, full: no room was left).", "outcome")
SPANS_WAITING = _gauge("rco_spans_waiting", "Spans that wait to be sent.")

# Runs and steps.
RUNS_STARTED = _counter("rco_runs_started_total", "Runs opened, by workflow.", "workflow")
RUNS_CLOSED = _counter(
    "rco_runs_closed_total",
    "Runs closed, by workflow and outcome (completed, failed, cancelled, terminated).",
    "workflow",
    "outcome",
)
RUN_DURATION = _histogram("rco_run_duration_seconds", "Time from start to close of a run.", _RUN_S, "workflow")
OPEN_RUNS = _gauge("rco_open_runs", "Open runs, by mode (hot, parked, blocked, in_doubt).", "mode")
RUNS_REFUSED = _counter("rco_runs_refused_total", "Starts refused because too many runs are open.")
STEPS = _counter("rco_steps_total", "Steps finished, by outcome (ok, failed, in_doubt).", "outcome")
STEP_RETRIES = _counter("rco_step_retries_total", "Attempts of steps that failed and will be made again.")
SIGNALS = _counter("rco_signals_total", "Signals to runs, by outcome (accepted, duplicate, closed).", "outcome")
SIGNALS_TAKEN = _counter("rco_signals_taken_total", "Signals and awaited events that a run has taken.")
TIMER_LATENESS = _histogram("rco_timer_lateness_seconds", "How long after its due time a timer fired.", _LATENESS_S)
REPLAYS = _counter(
    "rco_replays_total", "Runs replayed from their journal, by outcome (ok, blocked, failed).", "outcome"
)
COMPENSATIONS = _counter("rco_compensations_total", "Compensations run, by outcome (ok, failed).", "outcome")

# Outgoing webhooks.
WEBHOOK_ATTEMPTS = _counter(
    "rco_webhook_attempts_total",
    "Attempts to deliver to endpoints, by outcome (delivered, status_3xx, status_4xx, status_5xx, no_answer).",
    "outcome",
)
WEBHOOK_DELIVERIES = _counter(
    "rco_webhook_deliveries_total", "Deliveries that ended, by outcome (delivered, failed, skipped).", "outcome"
)
WEBHOOK_HELD_BACK = _counter(
    "rco_webhook_held_back_total",
    "Attempts that a limit of their endpoint held back (rate, concurrency, closed_until).",
    "limit",
)
WEBHOOK_ENDPOINTS = _gauge("rco_webhook_endpoints", "Endpoints, by state (enabled, disabled).", "state")
WEBHOOK_DISABLED = _counter(
    "rco_webhook_disabled_total", "Endpoints disabled by themselves, by cause (gone, failing).", "cause"
)

# Schedules.
SCHEDULE_STARTS = _counter("rco_schedule_starts_total", "Runs started by schedules.")
SCHEDULE_PASSED = _counter(
    "rco_schedule_passed_total",
    "Ticks that were not started, by reason (overlap, buffer full, superseded, missed, already started).",
    "reason",
)
SCHEDULE_LATENESS = _histogram(
    "rco_schedule_lateness_seconds", "How long after its time a tick's start was committed.", _LATENESS_S
)
SCHEDULE_TROUBLE = _counter(
    "rco_schedule_trouble_total", "Times a schedule could not be looked at, or a due start not be made."
)
SCHEDULES_HELD = _gauge("rco_schedules_held", "Schedules in memory: due within the window, or waiting for a run.")

# Queues.
QUEUE_WAITING = _gauge(
    "rco_queue_waiting", "Runs that wait in a queue whose turns this node gives, as far as it knows.", "queue"
)
QUEUE_RUNNING = _gauge("rco_queue_running", "Permits held in a queue whose turns this node gives.", "queue")
QUEUE_STARTED = _counter("rco_queue_started_total", "Turns that this node gave.", "queue")
QUEUE_WAIT = _histogram("rco_queue_wait_seconds", "From a run's start to its turn.", _WAIT_S, "queue")
QUEUE_TROUBLE = _counter("rco_queue_trouble_total", "Times a queue could not be read, and is tried again.")

# Versions.
VERSION_WAITING = _gauge(
    "rco_version_waiting_runs",
    "Open runs pinned to a version that no living node has; said by one node for all.",
    "version",
)

# Reading.
READS_FAILED = _counter(
    "rco_engine_reads_failed_total", "Reads of runs, timers and shards taken over that failed and are made again."
)

# The writer.
COMMIT_DURATION = _histogram("rco_commit_seconds", "Time of one commit, from begin to durable.", _COMMIT_S)
COMMIT_RECORDS = _counter("rco_commit_records_total", "Journal records and rows committed.")
COMMIT_SIZE = _counter("rco_commit_bytes_total", "Bytes of journal committed.")
COMMITS = _counter("rco_commits_total", "Commits.")
HISTORY_REWOUND = _counter(
    "rco_history_rewound_total", "Chains that the database turned out to have lost acknowledged commits of."
)
WRITER_BACKLOG = _gauge("rco_writer_backlog", "Rows collected and not yet committed.")

# Governed calls.
CALLS = _counter(
    "rco_calls_total",
    "Attempts of governed calls, by target and outcome (ok, error, refused, timeout, fallback).",
    "target",
    "outcome",
)
CALL_LATENCY = _histogram("rco_call_latency_seconds", "Time of one attempt of a governed call.", _CALL_S, "target")
CALLS_INFLIGHT = _gauge("rco_calls_inflight", "Governed calls now under way.", "target")
CALLS_LIMITED = _counter(
    "rco_call_limited_total",
    "Calls held back or refused by a limit (rate, concurrency, budget, breaker, closed_until, switch).",
    "target",
    "limit",
)
BREAKER_STATE = _gauge("rco_breaker_state", "Circuit breaker of a target: 0 closed, 1 half open, 2 open.", "target")

# Databases of the users' own.
TRANSACTIONS = _counter(
    "rco_transactions_total",
    "Transactional steps, by database and outcome (committed; found: the result was recorded before; rolled_back and"
    " away: made again; failed; unknown: the answer to a commit was lost and is being found out).",
    "database",
    "outcome",
)
TRANSACTION_LATENCY = _histogram(
    "rco_transaction_seconds", "Time of one committed transactional step, with its function.", _CALL_S, "database"
)
TRANSACTION_RECORDS_REMOVED = _counter(
    "rco_transaction_records_removed_total", "Records of transactional steps removed after their time.", "database"
)
OUTBOX_ENTRIES = _counter(
    "rco_outbox_entries_total",
    "Entries read from an outbox, by outcome (accepted, duplicate, refused, later).",
    "outbox",
    "outcome",
)
OUTBOX_LAG = _gauge("rco_outbox_lag_seconds", "Age of the oldest entry that waits in an outbox.", "outbox")
OUTBOX_WAITING = _gauge("rco_outbox_waiting", "Entries that wait in an outbox; 10 000 stands for more.", "outbox")
OUTBOX_LETTERS = _gauge("rco_outbox_dead_letters", "Dead letters in an outbox; 10 000 stands for more.", "outbox")
OUTBOX_TROUBLE = _counter("rco_outbox_trouble_total", "Times that an outbox could not be read.", "outbox")

# Events.
EVENTS = _counter("rco_events_total", "Events accepted, by origin (webhook, api, run, outbox, put, service).", "origin")
EVENT_MATCHES = _counter("rco_event_matches_total", "Subscriptions that an accepted event matched.", "subscription")
DEAD_LETTERS = _counter("rco_dead_letters_total", "Events that a subscription could not take.", "subscription")
RETENTION_DROPPED = _counter(
    "rco_retention_dropped_total",
    "What was dropped when its time was over, by kind (runs, events, dead_letters, revocations, content, links).",
    "kind",
)
RETENTION_RUNS = _counter("rco_retention_runs_total", "Times that retention ran to its end.")
PAYLOADS_KEPT = _counter("rco_payloads_kept_total", "Payloads put into the object store.")
PAYLOADS_FETCHED = _counter("rco_payloads_fetched_total", "Payloads read from the object store.")
PAYLOADS_FAILED = _counter(
    "rco_payloads_failed_total", "Times that the object store did not take a payload or gave none."
)
PAYLOAD_SIZE = _counter("rco_payload_bytes_total", "Bytes of payloads moved, by way (put, got).", "way")
PAYLOADS_WAITING = _gauge("rco_payloads_waiting", "Results that wait for the object store to take them.")
PAYLOAD_OBJECTS = _gauge(
    "rco_payload_objects", "Payloads at the last look of this node, by state (used, waiting: unused).", "state"
)
PAYLOADS_COLLECTED = _counter("rco_payloads_collected_total", "Payloads removed because nothing referred to them.")
PAYLOAD_SIZE_COLLECTED = _counter("rco_payload_collected_bytes_total", "Bytes of them.")
QUOTA_REFUSALS = _counter(
    "rco_quota_refusals_total", "Admissions that a quota of their namespace refused.", "namespace", "quota"
)
LETTERS_DISMISSED = _counter(
    "rco_dead_letters_dismissed_total", "Dead letters that somebody took off the list without sending them again."
)
LETTERS_REPLAYED = _counter("rco_dead_letters_replayed_total", "Dead letters that were sent again.")

# Brokers.
FEED_TOLD = _counter("rco_feed_messages_total", "Messages that a broker has taken of the audit chains.", "broker")
FEED_REFUSED = _counter("rco_feed_refused_total", "Messages that a broker will never take.", "broker")
FEED_GONE = _counter(
    "rco_feed_gone_total",
    "Events that were gone (retention, erasure) before a broker that is owed them had them.",
    "broker",
)
FEED_BEHIND = _gauge("rco_feed_behind_links", "Links of audit chains that a broker has not got yet.", "broker")
SOURCE_TAKEN = _counter("rco_source_messages_total", "Messages of a broker that were made durable here.", "source")
BROKERS_AWAY = _gauge("rco_brokers_away", "Brokers that could not be reached when they were last needed.")

# The bridge, by the names of its contract.
INTEROP_REQUESTS = _counter("svc_interop_requests_total", "Requests answered.", "route", "method", "status")
INTEROP_LATENCY = _histogram(
    "svc_interop_latency_seconds", "Time from request to answer.", _INTEROP_S, "route", "method"
)
INTEROP_INFLIGHT = _gauge("svc_interop_inflight", "Requests now being worked on.", "route")
INTEROP_REJECTED = _counter("svc_interop_rejected_total", "Requests refused, by reason.", "reason")
INTEROP_BUSY = _counter(
    "svc_interop_busy_rejections_total", "Requests refused because a queue or the connections were full.", "endpoint"
)
INTEROP_QUOTA = _counter("svc_interop_quota_exhaustions_total", "Requests refused by a token bucket.", "scope")
INTEROP_AUDIT_EMITTED = _counter("svc_interop_audit_emitted_total", "Decisions recorded, by sink.", "sink")
INTEROP_AUDIT_DROPPED = _counter("svc_interop_audit_drop_total", "Decisions dropped because the queue was full.")
INTEROP_QUEUE_DEPTH = _gauge("svc_interop_queue_depth", "Entries waiting in a bounded queue.", "queue")
INTEROP_QUEUE_DROPPED = _counter("svc_interop_queue_dropped_total", "Entries dropped from a bounded queue.", "queue")
INTEROP_BROWNOUT = _gauge(
    "svc_interop_brownout_active", "Whether writes are refused because the bridge is unwell: 1 or 0.", "component"
)
INTEROP_UPSTREAM = _histogram(
    "svc_interop_upstream_seconds",
    "Time that something behind the bridge took, by service, operation and outcome (ok, error, timeout).",
    _INTEROP_S,
    "service",
    "op",
    "outcome",
)
INTEROP_VERIFY = _counter(
    "svc_interop_webhook_verify_total",
    "Webhook verifications, by provider and result (ok, handshake, errand, or the detail of the refusal).",
    "provider",
    "result",
)
INTEROP_SECRET_MATCHED = _counter(
    "svc_interop_secret_matched_total",
    "Verified webhooks, by the identity of the secret that matched: when the old one stands still, take it out.",
    "provider",
    "secret_id",
)
INTEROP_AUTH_FAILURES = _counter("svc_interop_auth_failures_total", "Requests without valid proof of who sends them.")
INTEROP_CONTENT_BYTES = _counter(
    "svc_interop_content_bytes_total", "Bytes of content taken in and given out (in, out).", "direction"
)
OBJECTS_STAGED = _gauge("rco_objects_staged", "Small objects of this node that wait in the store to be moved.")
OBJECTS_BROKEN = _counter(
    "rco_objects_broken_total", "Objects whose bytes were not what their address or their record says."
)
INTEROP_CAPABILITIES_ISSUED = _counter(
    "svc_interop_capabilities_issued_total",
    "Capabilities minted, by the kinds of their scopes (webhook, run, call, write).",
    "scope",
)
CAPABILITY_REFUSALS = _counter(
    "rco_capability_refusals_total", "Times that a capability did not allow what was asked, by cause.", "cause"
)
NAMESPACE_KEYS = _gauge("rco_namespace_keys", "Keys of namespaces that are open on this node.")
REVOCATIONS = _gauge("rco_revocations", "Revocations that this node knows.")
REVOCATION_SILENCE = _gauge(
    "rco_revocation_silence_seconds", "Time since the store last told what was revoked; from 1 on nothing is allowed."
)
INTEROP_CONFIG_RELOADS = _counter(
    "svc_interop_config_reloads_total", "Reloads of the configuration, by result (ok, refused).", "result"
)

CATALOGUE: tuple[Signal, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Signal))
"""Every signal, in the order of this file."""

"""Counting, and reading it out as Prometheus does."""

import math
import sys
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from rco.telemetry import signals
from rco.telemetry.metrics import MAX_CHILDREN, OTHER, Metrics
from rco.telemetry.signal import Kind, Signal


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(process=False)


def families(metrics: Metrics) -> Iterator[Metric]:
    return text_string_to_metric_families(metrics.render().decode())


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """Read back through the official parser."""
    found = [s.value for f in families(metrics) for s in f.samples if s.name == name and s.labels == labels]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return found[0]


def test_a_counter(metrics: Metrics) -> None:
    ok = metrics.counter(signals.STEPS, outcome="ok")
    ok.add(1)
    ok.add(41)
    metrics.counter(signals.STEPS, outcome="failed").add()
    assert value(metrics, "rco_steps_total", outcome="ok") == 42
    assert value(metrics, "rco_steps_total", outcome="failed") == 1


def test_a_handle_is_the_same_at_each_call(metrics: Metrics) -> None:
    first = metrics.counter(signals.CALLS, target="a", outcome="ok")
    assert first is metrics.counter(signals.CALLS, outcome="ok", target="a")
    assert first is not metrics.counter(signals.CALLS, outcome="a", target="ok")


def test_a_gauge_is_set_added_to_and_asked(metrics: Metrics) -> None:
    gauge = metrics.gauge(signals.WRITER_BACKLOG)
    gauge.set(5)
    gauge.add(-2)
    assert value(metrics, "rco_writer_backlog") == 3
    backlog = [1, 2]
    gauge.watch(lambda: len(backlog))
    assert value(metrics, "rco_writer_backlog") == 2
    backlog.append(3)
    assert value(metrics, "rco_writer_backlog") == 3


def test_a_gauge_that_cannot_answer_does_not_blind_the_others(metrics: Metrics) -> None:
    def broken() -> float:
        raise RuntimeError("the writer is gone")

    metrics.gauge(signals.WRITER_BACKLOG).watch(broken)
    metrics.counter(signals.COMMITS).add(7)
    assert math.isnan(value(metrics, "rco_writer_backlog"))
    assert value(metrics, "rco_commits_total") == 7


def test_a_histogram_counts_what_is_at_most_its_bound(metrics: Metrics) -> None:
    latency = metrics.histogram(signals.REQUEST_LATENCY)
    for seconds in (0.35, 0.3500001, 0.0, 99.0):
        latency.observe(seconds)
    name = "rco_request_latency_seconds"
    assert value(metrics, f"{name}_bucket", le="0.001") == 1
    assert value(metrics, f"{name}_bucket", le="0.35") == 2
    assert value(metrics, f"{name}_bucket", le="0.5") == 3
    assert value(metrics, f"{name}_bucket", le="10.0") == 3
    assert value(metrics, f"{name}_bucket", le="+Inf") == 4
    assert value(metrics, f"{name}_count") == 4
    assert value(metrics, f"{name}_sum") == pytest.approx(99.7000001)


def test_what_has_no_labels_is_there_from_the_start_as_zero(metrics: Metrics) -> None:
    assert value(metrics, "rco_commits_total") == 0
    assert value(metrics, "rco_request_latency_seconds_count") == 0
    assert {f.name for f in families(metrics)} == {s.name.removesuffix("_total") for s in signals.CATALOGUE}


def test_two_services_in_one_process_do_not_see_each_other() -> None:
    one, other = Metrics(), Metrics()
    one.counter(signals.COMMITS).add(3)
    assert value(other, "rco_commits_total") == 0


def test_the_process_is_there_when_asked_for() -> None:
    if sys.platform == "linux":
        assert value(Metrics(), "process_resident_memory_bytes") > 1 << 20


def test_label_values_are_escaped(metrics: Metrics) -> None:
    nasty = 'a"b\\c\nrco_commits_total 99'
    metrics.counter(signals.DEAD_LETTERS, subscription=nasty).add(2)
    assert value(metrics, "rco_dead_letters_total", subscription=nasty) == 2
    assert value(metrics, "rco_commits_total") == 0


def test_children_are_bounded_and_the_rest_is_other(metrics: Metrics) -> None:
    for number in range(MAX_CHILDREN + 500):
        metrics.counter(signals.CALLS, target=f"t{number}", outcome="ok").add(1)
    family = next(f for f in families(metrics) if f.name == "rco_calls")
    assert len(family.samples) == MAX_CHILDREN + 1
    assert value(metrics, "rco_calls_total", target=OTHER, outcome=OTHER) == 500
    metrics.counter(signals.CALLS, target="t3", outcome="ok").add(1)
    assert value(metrics, "rco_calls_total", target="t3", outcome="ok") == 2


def test_a_long_label_value_is_other(metrics: Metrics) -> None:
    metrics.counter(signals.CALLS, target="x" * 10_000, outcome="ok").add(1)
    assert value(metrics, "rco_calls_total", target=OTHER, outcome=OTHER) == 1
    assert b"xxxx" not in metrics.render()


def test_misuse_is_refused(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="not a counter"):
        metrics.counter(signals.WRITER_BACKLOG)
    with pytest.raises(ValueError, match="not a gauge"):
        metrics.gauge(signals.COMMITS)
    with pytest.raises(ValueError, match="not a histogram"):
        metrics.histogram(signals.COMMITS)
    with pytest.raises(ValueError, match=r"has the labels \('outcome',\)"):
        metrics.counter(signals.STEPS)
    with pytest.raises(ValueError, match="has the labels"):
        metrics.counter(signals.STEPS, outcome="ok", user="u-1")
    with pytest.raises(ValueError, match="not in the catalogue"):
        metrics.counter(Signal(name="rco_mine_total", kind=Kind.COUNTER, help="Mine."))

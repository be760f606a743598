"""What is wrong about traces is said before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from rco.config.bind import REFERENCE
from rco.telemetry.tracing_options import TracingOptions, faults


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"endpoint": "collector:4318"}, "tracing.endpoint"),
        ({"endpoint": "grpc://collector:4317"}, "tracing.endpoint"),
        ({"endpoint": "http://"}, "tracing.endpoint"),
        ({"endpoint": "http://[::1"}, "tracing.endpoint"),
        ({"endpoint": "http://collector:99999"}, "tracing.endpoint"),
        ({"endpoint": "http://me:secret@collector:4318"}, "tracing.endpoint"),
        ({"endpoint": "grpc://me:secret@collector:4317"}, "tracing.endpoint"),
        ({"endpoint": "http://collector:4318?token=secret"}, "tracing.endpoint"),
        ({"headers": {"authorization": "Bearer secret"}}, "tracing.headers.authorization"),
        ({"headers": {"author\r\nization": "env:TOKEN"}}, "tracing.headers.author\r\nization"),
    ],
)
def test_what_cannot_be_used_is_named_and_its_secret_is_not_shown(more: dict[str, Any], key: str) -> None:
    found = list(faults(TracingOptions(**more), REFERENCE.fullmatch))
    assert [one[0] for one in found] == [key]
    assert all(cure for _, _, cure in found)
    if "me:secret" in str(more) or "token=" in str(more) or "Bearer" in str(more):
        assert "secret" not in found[0][1].replace("reference to a secret", "")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4318", "https://otel.example.com", "http://[::1]:4318/"])
def test_addresses_of_collectors(endpoint: str) -> None:
    options = TracingOptions(endpoint=endpoint, headers={"x-api-key": "env:TOKEN"})
    assert list(faults(options, REFERENCE.fullmatch)) == []

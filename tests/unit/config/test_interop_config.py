"""The words of svc-interop: flags over variables over file over defaults, and every mistake at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rco.config import explain, load_interop, problems_interop
from rco.errors import ConfigInvalid

FILE = """\
bind_addr = "127.0.0.1:1"
max_conns = 100
read_timeout = "4s"
write_timeout = "250ms"

[limits]
max_rps = 100
max_body_bytes = "64KiB"

[decompression]
max_ratio = 20

[brownout.thresholds]
error_rate_5m = 0.02

[auth]
capability_ttl = "30s"

[hash]
internal = "blake3-256"

[providers.shop]
kind = "standard-webhooks"
secrets = [{ secret_id = "one", ref = "env:SHOP" }]

[providers.wide]
kind = "standard-webhooks"
body_limit = "2MiB"
secrets = [{ secret_id = "one", ref = "env:SHOP" }]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "svc-interop.toml"
    path.write_text(FILE)
    return path


def told(path: Path, environ: dict[str, str] | None = None, **flags: Any) -> list[str]:
    return [str(one).removeprefix(str(path)) for one in problems_interop(path, environ or {}, flags)]


def test_the_words_of_the_file(file: Path) -> None:
    settings = load_interop(file, {}).settings
    assert settings.server.bind_addr == "127.0.0.1:1"
    assert (settings.server.max_conns, settings.server.read_timeout_s, settings.server.handler_timeout_s) == (
        100,
        4.0,
        0.25,
    )
    assert (settings.limits.max_rps, settings.limits.body_limit_bytes) == (100, 64 << 10)
    assert settings.decompression.max_ratio == 20
    assert settings.brownout.thresholds.error_rate_5m == 0.02
    assert settings.capability.ttl_s == 30
    # The limit is that of each provider that has none of its own.
    assert settings.providers["shop"].body_limit_bytes == 64 << 10
    assert settings.providers["wide"].body_limit_bytes == 2 << 20


def test_flags_over_variables_over_file_over_defaults(file: Path) -> None:
    environ = {"SVC_INTEROP_MAX_CONNS": "200", "SVC_INTEROP_MAX_RPS": "200", "SVC_INTEROP_METRICS_ADDR": "127.0.0.1:2"}
    loaded = load_interop(file, environ, {"max_rps": 300.0})
    settings = loaded.settings
    assert (settings.limits.max_rps, settings.server.max_conns, settings.server.metrics_addr) == (
        300,
        200,
        "127.0.0.1:2",
    )
    origins = {one.key: one.origin for one in explain(loaded)}
    assert origins["limits.max_rps"] == "flag --max-rps"
    assert origins["server.max_conns"] == "SVC_INTEROP_MAX_CONNS"
    assert origins["server.read_timeout"] == f"{file}:3"
    assert origins["brownout.thresholds.error_rate_5m"] == f"{file}:14"
    assert origins["limits.burst_rps"] == "default"


@pytest.mark.parametrize(
    ("variable", "value", "got"),
    [
        ("SVC_INTEROP_BURST_RPS", "7", lambda s: s.limits.burst_rps == 7),
        ("SVC_INTEROP_LIMITS_BURST_RPS", "7", lambda s: s.limits.burst_rps == 7),
        ("SVC_INTEROP_BODY_LIMIT", "2MiB", lambda s: s.limits.body_limit_bytes == 2 << 20),
        (
            "SVC_INTEROP_BROWNOUT_THRESHOLDS_UPSTREAM_P95_MS",
            "700",
            lambda s: s.brownout.thresholds.upstream_p95_ms == 700,
        ),
        ("SVC_INTEROP_BROWNOUT_ENABLED", "false", lambda s: s.brownout.enabled is False),
        ("SVC_INTEROP_AUTH_CAPABILITY_TTL", "10s", lambda s: s.capability.ttl_s == 10),
        ("SVC_INTEROP_LOGGING_LEVEL", "error", lambda s: s.logging.level == "error"),
        ("SVC_INTEROP_TRACING_ENABLED", "true", lambda s: s.tracing.enabled),
        ("SVC_INTEROP_TRACING_SAMPLE_RATIO", "0.1", lambda s: s.tracing.sample_ratio == 0.1),
        ("SVC_INTEROP_DATA_DIR", "elsewhere", lambda s: s.data_dir == "elsewhere"),
        ("RUST_LOG", "warn", lambda s: s.logging.level == "warning"),
        ("RUST_LOG", "svc_interop=trace", lambda s: s.logging.level == "info"),
        ("SVC_INTEROP_SERVICE_HOST", "10.0.0.1", lambda s: True),
        ("SVC_INTEROP_PORT_8080_TCP", "tcp://10.0.0.1:8080", lambda s: True),
        ("RCO_LIMITS_MAX_RPS", "1", lambda s: s.limits.max_rps == 500),
    ],
)
def test_variables(variable: str, value: str, got: Any) -> None:
    assert got(load_interop(None, {variable: value}).settings)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("max_rps = 100", "max_rsp = 100", 7, "limits.max_rsp: is not a setting Did you mean max_rps?"),
        ("read_timeout", "reed_timeout", 3, "reed_timeout: is not a setting Did you mean read_timeout?"),
        ('"4s"', "4", 3, "read_timeout: expected a value with its unit, got the number 4 Write e.g. 5s."),
        ('"4s"', '"4 sec"', 3, "read_timeout: '4 sec' is not a duration"),
        ("error_rate_5m = 0.02", "error_rate_5m = 2", 14, "brownout.thresholds.error_rate_5m: must be <= 1"),
        ('"blake3-256"', '"sha-256"', 20, "hash.internal: cannot be chosen"),
        ("[hash]", "[hush]", 19, "hush: is not a setting Did you mean hash?"),
        ("capability_ttl", "capability_tll", 17, "auth.capability_tll: is not a setting Did you mean capability_ttl?"),
        ("127.0.0.1:1", "localhost", 1, "bind_addr: 'localhost' is not an address"),
        (
            '"standard-webhooks"',
            '"standard-webhook"',
            23,
            "providers.shop.kind: 'standard-webhook' is not a",
        ),
        ('"env:SHOP"', '"whsec_c2VjcmV0"', 24, "providers.shop.secrets[0].ref: a reference is due here, not a value"),
        ("[limits]", "[limits", 6, "not TOML"),
    ],
)
def test_a_mistake_is_told_at_its_line(file: Path, old: str, new: str, line: int, said: str) -> None:
    file.write_text(FILE.replace(old, new, 1))
    first = told(file)[0]
    assert first.startswith(f":{line}: {said}"), first
    assert "c2VjcmV0" not in first


def test_a_variable_that_is_none_is_told_with_the_nearest() -> None:
    (one,) = problems_interop(None, {"SVC_INTEROP_MAX_CONN": "1"})
    assert str(one) == "SVC_INTEROP_MAX_CONN: max_conn: is not a setting Did you mean max_conns?"


def test_the_first_problem_says_how_many_more(file: Path) -> None:
    file.write_text("a = 1\nb = 2\n")
    with pytest.raises(ConfigInvalid, match=r"1 more; svc-interop config check lists all"):
        load_interop(file, {})


def test_idle_connections_live_as_long_as_the_server_lets_them() -> None:
    assert told(Path("/nonexistent"))[0].startswith(": cannot be read")
    (one,) = problems_interop(None, {"SVC_INTEROP_IDLE_TIMEOUT": "1s"})
    assert one.key == "idle_timeout"

"""Bad configuration: each is refused at its line and key, says what to do, and shows no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from rco.config import load, problems
from rco.config.source import DEPTH_MAX, NODES_MAX, SOURCE_BYTES_MAX
from rco.errors import ConfigInvalid

TARGET = "targets:\n  pay:\n    base_url: https://pay.example.com\n    allow: [{methods: [GET], path: /a}]\n"
UNKEYED = TARGET + "    idempotency_header: null\n"
PROVIDER = "providers:\n  hub:\n    kind: github\n"
SECRET = "sk_live_51Hxyz"

BROKER = """brokers:
  events: {kind: redis, url: "env:URL"}
sources:
  orders: {broker: events, topic: orders}
subscriptions:
"""
CASES: list[tuple[str, int, str, str]] = [
    # text, line, key, part of the message
    ("sever: {}\n", 1, "sever", "Did you mean server?"),
    ("server:\n  bind_adr: x\n", 2, "server.bind_adr", "Did you mean bind_addr?"),
    ("zzz: 1\n", 1, "zzz", "Known here: amnesia, app,"),
    ("- 1\n", 1, "", "not keys and values"),
    ("server: 5\n", 1, "server", "expected keys and values, got the number 5"),
    ("server: {max_conns: many}\n", 1, "server.max_conns", "expected a whole number, got a text"),
    ("server: {max_conns: 1.5}\n", 1, "server.max_conns", "expected a whole number"),
    ("server: {max_conns: true}\n", 1, "server.max_conns", "expected a whole number, got true"),
    ("server: {max_conns: 0}\n", 1, "server.max_conns", "must be >= 1, is 0"),
    ("server: {max_conns: null}\n", 1, "server.max_conns", "got nothing"),
    ("server:\n  read_timeout: 5\n", 2, "server.read_timeout", "expected a value with its unit"),
    ("server: {read_timeout: 5 sec}\n", 1, "server.read_timeout", "write e.g. 250ms, 5s"),
    ("server: {read_timeout: 0s}\n", 1, "server.read_timeout", "must be > 0"),
    ("server: {read_timeout: -1s}\n", 1, "server.read_timeout", "is not a duration"),
    ("limits: {body_limit: 1MB}\n", 1, "limits.body_limit", "write e.g. 512B, 64KiB"),
    ("limits: {max_rps: .inf}\n", 1, "limits.max_rps", "expected a number, got a text"),
    ("limits: {max_rps: 1e999}\n", 1, "limits.max_rps", "must be <= 1000000"),
    ("server: {bind_addr: localhost:8080}\n", 1, "server.bind_addr", "is not an IP address"),
    ("server: {bind_addr: 127.0.0.1:9909}\n", 1, "server.metrics_addr", "is the same as bind_addr"),
    ("logging:\n  level: loud\n", 2, "logging.level", "is not one of debug, info, warning, error"),
    ("logging: {level: inf}\n", 1, "logging.level", "Did you mean info?"),
    ("engine: {park_after: 0s}\n", 1, "engine.park_after", "must be above 0"),
    ("store: {lease_ttl: 3s}\n", 1, "store.heartbeat", "more than a third of lease_ttl (3 s)"),
    ("store:\n  lease_ttl: 2s\n  heartbeat: 1s\n", 3, "store.heartbeat", "more than a third"),
    ("store: {lease_margin: 5s}\n", 1, "store.lease_margin", "must outlast it and two heartbeats"),
    ("store: {flushers: 0}\n", 1, "store.flushers", "must be >= 1"),
    ("store: {readers: 1000}\n", 1, "store.readers", "must be <= 64"),
    ("store: {poll: 2}\n", 1, "store.poll", "expected a value with its unit"),
    ("store: {direct_dsn: postgresql://x/y}\n", 1, "store.direct_dsn", "nothing says that path leads to a pooler"),
    ("app: [a]\n", 1, "app", "expected a text, got a list"),
    ("data_dir: 5\n", 1, "data_dir", "expected a text, got the number 5"),
    # targets
    ("targets:\n  Pay: {}\n", 2, "targets.Pay", "is not a name"),
    ("targets:\n  pay:\n    allow: []\n", 3, "targets.pay.base_url", "is missing"),
    ("targets: [pay]\n", 1, "targets", "expected names and their settings"),
    (TARGET.replace("https", "ftp"), 3, "targets.pay.base_url", "needs http or https"),
    (TARGET.replace("//pay", f"//me:{SECRET}@pay"), 3, "targets.pay.base_url", "holds a user or a password"),
    (TARGET.replace(".com", ".com?a=1"), 3, "targets.pay.base_url", "holds a query"),
    (TARGET.replace("GET", "get"), 4, "targets.pay.allow[0]", "write e.g. GET or POST"),
    (TARGET.replace("/a}", "/a*}"), 4, "targets.pay.allow[0]", "stands for a whole segment"),
    (TARGET.replace("[{methods: [GET], path: /a}]", "[]"), 4, "targets.pay.allow", "allows nothing"),
    (TARGET + "    name: other\n", 5, "targets.pay.name", "is not a setting"),
    (TARGET + "    allow_private: [10.0.0.0/33]\n", 5, "targets.pay.allow_private[0]", "is not a network"),
    (TARGET + "    attempts: 0\n", 5, "targets.pay.attempts", "must be between 1 and 100"),
    (TARGET + "    timeout: 2h\n", 5, "targets.pay.timeout", "must be between"),
    (TARGET + "    burst: 5\n", 5, "targets.pay.burst", "needs rate_per_s"),
    (TARGET + "    backoff: {first: 5s, cap: 1s}\n", 5, "targets.pay.backoff", "cap_s >= first_s"),
    (TARGET + "    breaker: {failure_ratio: 2}\n", 5, "targets.pay.breaker", "failure_ratio <= 1"),
    (TARGET + "    fallback: {status: 20}\n", 5, "targets.pay.fallback.status", "not an HTTP status"),
    (TARGET + "    idempotency_header: Host\n", 5, "targets.pay.idempotency_header", "not a header that can be set"),
    (UNKEYED + "    probe: {get: orders}\n", 6, "targets.pay.probe.get", "must begin with"),
    (UNKEYED + "    probe: {get: '/a?x={key}'}\n", 6, "targets.pay.probe.get", "there are idempotency_key"),
    (UNKEYED + "    probe: {get: /b}\n", 6, "targets.pay.probe.get", "not allowed by any rule"),
    (UNKEYED + "    probe: {get: /a, applied: '.['}\n", 6, "targets.pay.probe.applied", "jq"),
    (UNKEYED + "    probe: {get: /a, done: [404]}\n", 6, "targets.pay.probe", "says both"),
    (UNKEYED + "    probe: {get: /a, reference_header: Host}\n", 6, "targets.pay.probe.reference_header", "be set"),
    (TARGET + "    probe: {get: /a}\n", 5, "targets.pay.probe", "never asked"),
    # secrets
    (TARGET + f"    credential: {{secret: {SECRET}}}\n", 5, "targets.pay.credential.secret", "a reference is due"),
    (TARGET + f"    credential: {{secret: env:{SECRET}}}\n", 5, "targets.pay.credential.secret", "a reference is due"),
    (TARGET + f"    credential: {SECRET}\n", 5, "targets.pay.credential", "expected keys and values, got a text"),
    (TARGET + "    credential: {secret: file:relative}\n", 5, "targets.pay.credential.secret", "file:/path"),
    (PROVIDER + f"    secrets: [{{secret_id: a, ref: {SECRET}}}]\n", 4, "providers.hub.secrets[0].ref", "a reference"),
    (PROVIDER + f"    secrets: [{SECRET}]\n", 4, "providers.hub.secrets[0]", "got a text"),
    (PROVIDER + "    secrets: []\n", 4, "providers.hub.secrets", "0 secrets"),
    (
        PROVIDER + "    secrets: [{secret_id: a, ref: env:A}]\n    age_limit: 1h\n",
        5,
        "providers.hub.age_limit",
        "outside",
    ),
    # subscriptions
    ("subscriptions:\n  - {name: a, workflow: w}\n", 2, "subscriptions[0].type", "is missing"),
    (
        "subscriptions:\n  - {name: a, workflow: w, type: t}\n  - {name: a, workflow: w, type: t}\n",
        3,
        "subscriptions[1].name",
        "'a' is taken",
    ),
    ("subscriptions:\n  - {name: a, workflow: w, type: a*b}\n", 2, "subscriptions[0].type", "before its end"),
    ("store: {path: 'mysql://u@h/d'}\n", 1, "store.path", "no store of the kind mysql"),
    ("subscriptions:\n  - name: a\n    workflow: w\n    type: t\n    where: .a |\n", 5, "subscriptions[0].where", "jq"),
    (
        PROVIDER + "    secrets: [{secret_id: a, ref: env:A}]\n    subject: env.HOME\n",
        5,
        "providers.hub.subject",
        "env",
    ),
    (BROKER + "  - {name: a, type: t}\n", 6, "subscriptions[0]", "one of workflow and publish"),
    (
        BROKER + "  - {name: a, type: t, workflow: w, publish: {broker: events, topic: x}}\n",
        6,
        "subscriptions[0]",
        "one of workflow and publish",
    ),
    (
        BROKER + "  - {name: a, type: t, publish: {broker: event, topic: x}}\n",
        6,
        "subscriptions[0].publish.broker",
        "Did you mean events?",
    ),
    (
        BROKER + "  - {name: a, type: t, publish: {broker: events, topic: orders}}\n",
        6,
        "subscriptions[0].publish.topic",
        "events would go round",
    ),
    (
        BROKER + "  - {name: a, type: t, key: .id, publish: {broker: events, topic: x}}\n",
        6,
        "subscriptions[0]",
        "publish.key",
    ),
    (
        BROKER + "  - {name: a, type: t, publish: {broker: events, topic: x, key: '.['}}\n",
        6,
        "subscriptions[0].publish.key",
        "jq",
    ),
    # retention
    (
        "retention:\n  classes: {short: {keep: 1m}}\n  revocations: short\n",
        3,
        "retention.revocations",
        "less than a capability may live",
    ),
    ("retention:\n  evidence: never\n", 2, "retention.evidence", "is no class"),
    ("retention:\n  content: never\n", 2, "retention.content", "is no class"),
    (
        "retention:\n  classes: {a: {keep: 1d}}\n  content: a\n",
        3,
        "retention.content",
        "there is no content store",
    ),
    (
        (
            "objects: {place: s3://bucket}\ncapability: {enforce: true}\ncontent: {enabled: true}\n"
            "retention:\n  classes: {a: {keep: 1d}}\n  content: a\n"
        ),
        6,
        "retention.content",
        "content is in a bucket",
    ),
    (
        (
            "providers:\n"
            "  forge: {kind: github, large_body_limit: 20MiB, secrets: [{secret_id: one, ref: env:FORGE}]}\n"
            "retention:\n  classes: {a: {keep: 1d}, b: {keep: 2d}}\n  content: a\n  events: b\n"
        ),
        5,
        "retention.content",
        "less than the events that refer to large bodies",
    ),
    # YAML itself
    ("a: &x 1\nb: *x\n", 1, "a", "anchors and aliases"),
    ("server: &x {}\n", 1, "server", "anchors and aliases"),
    ("app: !!python/object/apply:os.system [ls]\n", 1, "app", "tags are not read"),
    ("app: a\napp: b\n", 2, "app", "written twice, first at line 1"),
    ("app: a\n---\napp: b\n", 2, "", "a second document"),
    ("server: {<<: {a: 1}}\n", 1, "server", "not a key"),
    ("? [a]\n: b\n", 1, "", "not a key"),
    ("server: {max_conns: 1\napp: x\n", 2, "", "not YAML"),
    ("app: 'x\n", 2, "", "not YAML"),
    ("\tapp: x\n", 1, "", "not YAML"),
    ("app: " + "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1) + "\n", 1, "app" + "[0]" * DEPTH_MAX, "nested deeper"),
    ("app: [" + "1," * NODES_MAX + "]\n", 1, "", "more than 20000 values"),
    ("#" * (SOURCE_BYTES_MAX + 1), 0, "", "larger than"),
]


@pytest.mark.parametrize(
    ("text", "line", "key", "message"), CASES, ids=[f"{one[2] or 'yaml'}-{index}" for index, one in enumerate(CASES)]
)
def test_bad_input_is_refused_at_its_place(tmp_path: Path, text: str, line: int, key: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        load(path, {})
    assert caught.value.file == str(path)
    assert (caught.value.line, caught.value.key) == (line, key)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)
    # The listing says the same as the first error.
    assert all(SECRET not in str(one) for one in problems(path, {}))


def test_not_utf8_says_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"app: x\nserver: \xff\n")
    with pytest.raises(ConfigInvalid, match=r":2: not UTF-8"):
        load(path, {})


def test_an_alias_bomb_costs_nothing(tmp_path: Path) -> None:
    rows = ["a: &a [x,x,x,x,x,x,x,x,x]"] + [
        f"{b}: &{b} [{','.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    path = tmp_path / "c.yaml"
    path.write_text("\n".join(rows))
    with pytest.raises(ConfigInvalid, match="anchors and aliases"):
        load(path, {})


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"nowhere.yaml: cannot be read"):
        load(tmp_path / "nowhere.yaml", {})


def test_a_secret_in_the_environment_is_not_shown_either() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(None, {"RCO_SERVER_MAX_CONNS": SECRET})
    assert caught.value.key == "server.max_conns"
    assert SECRET not in str(caught.value)

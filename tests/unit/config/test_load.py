"""Settings from a real file: what is read, what wins, where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from rco.config import Settings, diff, explain, load, problems
from rco.config.check import check_address
from rco.errors import ConfigInvalid

GOOD = """\
data_dir: /srv/rco
server:
  bind_addr: 0.0.0.0:8080
  read_timeout: 250ms
limits:
  body_limit: 64KiB
providers:
  github:
    kind: github
    secrets: [{secret_id: now, ref: env:GITHUB_SECRET}]
    age_limit: 2m
targets:
  pay:
    base_url: https://pay.example.com/v1
    timeout: 3s
    max_response: 1MiB
    allow:
      - {methods: [POST], path: /charges/**}
    backoff: {first: 50ms, cap: 2s}
    credential: {secret: "env:PAY_KEY"}
    fallback: {status: 200, body: {ok: false, note: no}}
subscriptions:
  - {name: orders, workflow: fulfil, type: order.created}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "rco-config.yaml"
    path.write_text(text)
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD), {}).settings
    assert settings.server.bind_addr == "0.0.0.0:8080"
    assert settings.server.read_timeout_s == 0.25
    assert settings.limits.body_limit_bytes == 65536
    assert settings.store.path == "/srv/rco/rco.db"
    provider = settings.providers["github"]
    assert (provider.name, provider.age_limit_s, provider.secrets[0].ref) == ("github", 120.0, "env:GITHUB_SECRET")
    pay = settings.targets["pay"]
    assert (pay.name, pay.timeout_s, pay.backoff.first_s, pay.max_response_bytes) == ("pay", 3.0, 0.05, 1 << 20)
    # YAML 1.1 would make a boolean of no; that is the text it looks like.
    assert pay.fallback is not None
    assert pay.fallback.body == {"ok": False, "note": "no"}
    assert settings.subscriptions[0].workflow == "fulfil"


def test_nothing_given_is_local_and_safe() -> None:
    settings = load(None, {}).settings
    assert settings.server.bind_addr == "127.0.0.1:8080"
    assert settings.server.metrics_addr == "127.0.0.1:9909"
    assert settings == Settings(store=settings.store)


def test_environment_over_file_and_flags_over_both(tmp_path: Path) -> None:
    path = write(tmp_path, "server: {max_conns: 10, read_timeout: 1s}\n")
    environ = {"RCO_SERVER_MAX_CONNS": "20", "RCO_SERVER_READ_TIMEOUT": "2s", "RCO_APP": "shop.app"}
    loaded = load(path, environ, {"server.max_conns": 30, "app": None})
    assert loaded.settings.server.max_conns == 30
    assert loaded.settings.server.read_timeout_s == 2.0
    assert loaded.settings.app == "shop.app"
    origins = {one.key: one.origin for one in explain(loaded)}
    assert origins["server.max_conns"] == "flag server.max_conns"
    assert origins["server.read_timeout"] == "RCO_SERVER_READ_TIMEOUT"
    assert origins["server.drain_timeout"] == "default"


def test_a_value_of_the_file_says_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    origins = {one.key: one.origin for one in explain(load(path, {}))}
    assert origins["server.read_timeout"] == f"{path}:4"
    assert origins["targets.pay.credential.secret"] == f"{path}:20"


def test_variables_of_others_are_let_be() -> None:
    environ = {"RCO_SERVICE_HOST": "10.0.0.1", "RCO_PORT_8080_TCP": "tcp://10.0.0.1:8080", "RCO_TOKEN_FILE": "t"}
    assert load(None, environ).settings == load(None, {}).settings


def test_an_unknown_variable_of_a_section_is_an_error() -> None:
    with pytest.raises(ConfigInvalid, match=r"RCO_SERVER_MAX_CON: server.max_con: .*Did you mean max_conns"):
        load(None, {"RCO_SERVER_MAX_CON": "1"})


def test_explain_and_diff_show_references_but_no_fixed_answers(tmp_path: Path) -> None:
    before = load(write(tmp_path, GOOD), {})
    values = {one.key: one.value for one in explain(before)}
    assert values["targets.pay.credential.secret"] == "env:PAY_KEY"
    assert values["targets.pay.fallback.body"] == "***"
    after = load(write(tmp_path, GOOD.replace("note: no", "note: yes").replace("3s", "4s")), {})
    changes = {change.key: (change.before, change.after) for change in diff(before.settings, after.settings)}
    assert changes == {"targets.pay.fallback.body": ("***", "***"), "targets.pay.timeout": (3.0, 4.0)}


def test_no_password_of_an_address_is_shown(tmp_path: Path) -> None:
    hidden = [
        load(write(tmp_path, f"store: {{path: '{where}'}}\n"), {})
        for where in ("postgresql://u:hush@h/d", "postgresql://h/d?user=u&password=hush")
    ]
    assert "hush" not in str([explain(one) for one in hidden])
    assert "hush" not in str(diff(hidden[0].settings, hidden[1].settings))
    assert {one.key: one.value for one in explain(hidden[0])}["store.path"] == "postgresql://u@h/d"


def test_what_came_and_went_is_said_once(tmp_path: Path) -> None:
    one = load(write(tmp_path, "app: a.b\n"), {}).settings
    two = load(write(tmp_path, "subscriptions: [{name: s, workflow: w, type: t}]\n"), {}).settings
    assert [change.key for change in diff(one, two)] == [
        "app",
        *(f"subscriptions[0].{field}" for field in ("name", "namespace", "source", "type", "workflow")),
    ]


def test_every_problem_is_listed_by_line(tmp_path: Path) -> None:
    path = write(tmp_path, "server: {max_conns: 0}\nlimit: {}\ntargets:\n  a: {base_url: x, allow: []}\n")
    found = problems(path, {})
    assert [(one.line, one.key) for one in found] == [(1, "server.max_conns"), (2, "limit")]
    with pytest.raises(ConfigInvalid, match="1 more"):
        load(path, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:8080", ("::1", 8080)), ("0.0.0.0:65535", ("0.0.0.0", 65535))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert check_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", ":8080", "8080", "localhost:80", "::1:80", "[::1]", "1.2.3.4:65536", "1.2.3.4:-1", "[1.2.3.4]:1"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        check_address(text)

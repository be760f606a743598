"""Help, statuses and errors of the command line, without a service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from inspect import signature
from pathlib import Path

import pytest
from cyclopts import App

from rco.cli.exits import MEANING, Exit, exit_of
from rco.cli.reach import LINK
from rco.cli.reference import reference
from rco.cli.tree import make_app
from rco.errors import (
    ConfigInvalid,
    Conflict,
    EvidenceBroken,
    Forbidden,
    NotFound,
    Overloaded,
    RcoError,
    Reason,
    Refused,
    StoreLocked,
    Unreachable,
)

GROUPS = [
    *("dev", "serve", "migrate", "run", "events", "letters", "target", "audit", "config", "demo", "version"),
    *("doctor", "node", "export", "verify", "backup", "restore", "bench"),
]


def test_help_lists_every_group_and_every_status(rco) -> None:
    said = rco("--help")
    assert said.status == 0
    for name in GROUPS:
        assert f" {name} " in said.out
    for status, text in MEANING.items():
        assert f"{status.value}  {text.split()[0]}" in said.out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_front_page_lists_every_command_and_loads_no_parser(arguments: list[str]) -> None:
    code = "import sys; from rco.cli import main; main(); print('cyclopts' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False"
    shown = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and "  " in line.strip()]
    app = make_app()
    assert {name for name in app if not name.startswith("-")} <= set(shown)
    assert max(len(line) for line in done.stdout.splitlines()) <= 100


def _commands(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    for name in app:
        if not name.startswith("-"):
            yield from _commands(app[name], (*path, name))
    if app.default_command is not None:
        yield path, app


def test_every_command_that_asks_a_service_takes_its_address_and_no_name_means_two_things() -> None:
    asking = 0
    for path, command in _commands(make_app()):
        given = command.assemble_argument_collection()
        names = [name for one in given for name in one.names if name.startswith("--")]
        assert len(names) == len(set(names)), path
        assert command.default_command is not None
        if any(one.default is LINK for one in signature(command.default_command).parameters.values()):
            asking += 1
            assert [one.keys for one in given if "--url" in one.names] == [("url",)], path
    assert asking > 50


def test_a_word_too_many_is_named(rco) -> None:
    said = rco("version", "now", "then")
    assert (said.status, said.out) == (Exit.USAGE, "")
    assert said.err == "rco: 'now' 'then' means nothing here. See rco --help.\n"


@pytest.mark.parametrize("name", GROUPS)
def test_every_group_has_help(rco, name: str) -> None:
    said = rco(name, "--help")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"Usage: rco {name}")


def test_help_loads_no_server_and_no_client() -> None:
    code = (
        "import sys; from rco.cli.entry import run; run(['--help']);"
        "print([m for m in ('litestar', 'granian', 'aiohttp', 'jq') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def one_line(said, status: Exit, *parts: str) -> None:
    assert said.status == status, said
    assert said.out == ""
    assert said.err.startswith("rco: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    for part in parts:
        assert part in said.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["rnu"], 'Did you mean "run"?'),
        (["run", "strat"], 'Did you mean "start"?'),
        (["run", "start"], "workflow"),
        (["run", "start", "x", "--nope"], "--nope"),
        (["run", "list", "--limit", "many"], "limit"),
        (["run", "list", "--state", "lost"], "lost"),
        (["run", "start", "x", "--input", "{"], "--input: not JSON"),
        (["run", "start", "x", "--input", "@nowhere"], "nowhere cannot be read"),
        (["run", "start", "x", "--wait", "5"], "--wait: '5' is not a duration"),
        (["run", "settle", "x", "k", "maybe", "--reason", "r"], "maybe"),
        (["run", "list", "--url", "127.0.0.1:80"], "is not the address of a service"),
        (["run", "list", "--url", "http://h"], "no token is given for http://h"),
        (["migrate", "--status", "--down"], "exclude each other"),
        (["serve", "--config", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["dev", "nowhere.py"], "nowhere.py"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(rco, arguments: list[str], part: str) -> None:
    one_line(rco(*arguments), Exit.USAGE, part)


def test_without_a_service_the_line_says_how_to_start_one(rco) -> None:
    one_line(rco("run", "list"), Exit.UNREACHABLE, "rco dev app.py")


def test_a_service_that_is_gone(rco, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("token\n")
    said = rco("run", "list", "--url", "http://127.0.0.1:1", "--token-file", "t")
    one_line(said, Exit.UNREACHABLE, "http://127.0.0.1:1 cannot be reached")


def test_a_token_file_that_is_none(rco, tmp_path: Path) -> None:
    one_line(rco("run", "list", "--url", "http://h", "--token-file", "none"), Exit.NOT_FOUND, "none cannot be read")
    (tmp_path / "t").write_text("sk live\nsecond")
    said = rco("run", "list", "--url", "http://h", "--token-file", "t")
    one_line(said, Exit.USAGE, "does not hold a token")
    assert "live" not in said.err


def test_the_local_token_does_not_travel(rco, tmp_path: Path) -> None:
    (tmp_path / ".rco").mkdir()
    (tmp_path / ".rco" / "admin.token").write_text("0" * 64)
    note = {"url": "http://127.0.0.1:1", "metrics_url": "http://127.0.0.1:2", "pid": 1, "version": "0"}
    (tmp_path / ".rco" / "node.json").write_text(json.dumps(note))
    one_line(rco("run", "list"), Exit.UNREACHABLE, "127.0.0.1:1")
    one_line(rco("run", "list", "--url", "http://elsewhere"), Exit.USAGE, "no token is given")
    one_line(rco("run", "list", RCO_URL="http://elsewhere"), Exit.USAGE, "no token is given")


def test_debug_adds_the_traceback(rco) -> None:
    said = rco("run", "list", RCO_DEBUG="1")
    assert "Traceback" in said.err
    assert said.err.splitlines()[-1].startswith("rco: no service is known")


def test_version(rco) -> None:
    assert rco("--version").out.strip() == "0.1.0"
    assert json.loads(rco("version", "--json").out)["rco"] == "0.1.0"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m rco config explain --all --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.fixture(scope="module")
def reference_text() -> str:
    return reference()


def test_the_reference_is_current(reference_text: str) -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
    assert page.read_text() == reference_text, "renew it: python -m rco.cli.reference > docs/reference/cli.md"


def test_the_reference_has_every_command(reference_text: str) -> None:
    text = reference_text
    for command in ("run settle", "letters replay", "audit verify", "config explain", "events show", "run watch"):
        assert f"\n### {command}\n" in text
    for name in GROUPS:
        assert f"\n## {name}\n" in text


# -- statuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigInvalid("x"), 2),
        (NotFound(), 3),
        (Conflict(), 4),
        (Forbidden(), 4),
        (Overloaded("x"), 4),
        (StoreLocked(), 4),
        (Refused(Reason.UNAUTH, "d"), 4),
        (Refused(Reason.MALFORMED, "d"), 2),
        (Unreachable(), 5),
        (EvidenceBroken(), 6),
        (RcoError(), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_status(error: BaseException, status: int) -> None:
    assert exit_of(error) == status
    assert Exit(status) in MEANING


# -- config, migrate, audit --------------------------------------------------------------------------------------------


def test_config_check_says_file_line_and_key(rco, tmp_path: Path) -> None:
    (tmp_path / "rco-config.yaml").write_text("server:\n  max_conns: 0\n  bind: x\n")
    said = rco("config", "check")
    assert said.status == Exit.USAGE
    lines = said.err.splitlines()
    assert lines[0].startswith("rco: rco-config.yaml:2: server.max_conns: must be >= 1")
    assert lines[1].startswith("rco: rco-config.yaml:3: server.bind: is not a setting. ")
    told = json.loads(rco("config", "check", "--json").out)
    assert [(one["line"], one["key"]) for one in told["problems"]] == [(2, "server.max_conns"), (3, "server.bind")]
    (tmp_path / "rco-config.yaml").write_text("server: {max_conns: 5}\n")
    said = rco("config", "check").out
    assert said.startswith("rco-config.yaml: ok\n")
    assert "server.max_conns" in said
    told = json.loads(rco("config", "check", "--json").out)["settings"]
    assert {"key": "server.max_conns", "value": 5, "origin": "rco-config.yaml:1"} in told


def test_config_explain_says_where_each_value_comes_from(rco, tmp_path: Path) -> None:
    (tmp_path / "rco-config.yaml").write_text("server:\n  max_conns: 5\n")
    told = json.loads(rco("config", "explain", "--json", RCO_LOGGING_LEVEL="debug").out)
    origins = {one["key"]: (one["value"], one["origin"]) for one in told}
    assert origins["server.max_conns"] == (5, "rco-config.yaml:2")
    assert origins["logging.level"] == ("debug", "RCO_LOGGING_LEVEL")
    assert origins["limits.max_rps"] == (500.0, "default")


def test_migrate_up_status_down(rco, tmp_path: Path) -> None:
    assert rco("migrate", "--status", "--store", "x.db").status == Exit.FAILED
    assert not (tmp_path / "x.db").exists()
    assert "applied" in rco("migrate", "--store", "x.db").out
    assert rco("migrate", "--store", "x.db").out == "x.db: up to date\n"
    said = rco("migrate", "--status", "--store", "x.db", "--json")
    assert said.status == 0
    assert all(one["applied"] for one in json.loads(said.out))
    assert json.loads(rco("migrate", "--down", "--store", "x.db", "--json").out)["undone"]


def test_serve_on_a_database_that_was_not_migrated_names_the_cure(rco) -> None:
    said = rco("serve", "--store", "x.db")
    one_line(said, Exit.FAILED, "rco migrate")


def test_audit_verify_without_a_file_and_with_a_broken_one(rco, tmp_path: Path) -> None:
    one_line(rco("audit", "verify", "none.jsonl"), Exit.NOT_FOUND, "none.jsonl cannot be read")
    (tmp_path / "bad.jsonl").write_text("{}\n")
    said = rco("audit", "verify", "bad.jsonl")
    assert said.status == Exit.BROKEN
    assert "NOT verified" in said.out
    assert json.loads(rco("audit", "verify", "bad.jsonl", "--json").out)["ok"] is False


def test_demo_outside_of_a_checkout(rco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rco.cli import demo

    monkeypatch.setattr(demo, "WHERE", Path("no") / "such.py")
    with pytest.raises(NotFound, match="checkout"):
        demo.find_demo()

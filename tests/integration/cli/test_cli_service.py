"""The command line against a running service: every command for people and for programs."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

from rco.cli.exits import Exit


def test_the_main_commands(service, rco, tmp_path: Path) -> None:
    said = rco("run", "start", "greet", "--input", '"Ada"', "--wait", "20s", "--json")
    run = json.loads(said.out)
    assert (said.status, run["state"], run["result"]) == (0, "completed", {"hello": "Ada"})

    said = rco("run", "start", "fail", "--wait", "20s")
    assert said.status == Exit.FAILED
    assert "no luck" in said.out
    assert '"where":"app.py:' in said.out
    failed = said.out.split()[0]
    assert "ValueError: no luck (app.py:" in rco("run", "show", failed).out

    first = json.loads(rco("run", "start", "ask", "--key", "k", "--input", "-", "--json", input='{"a": 1}').out)
    again = json.loads(rco("run", "start", "ask", "--key", "k", "--input", '{"a": 1}', "--json").out)
    assert (first["created"], again["created"], again["id"]) == (True, False, first["id"])
    other = rco("run", "start", "ask", "--key", "k", "--input", '{"a": 2}')
    assert other.status == Exit.REFUSED
    assert first["id"] in other.err

    listed = json.loads(rco("run", "list", "--json").out)
    assert [one["workflow"] for one in listed["items"]] == ["ask", "fail", "greet"]
    table = rco("run", "list", "--workflow", "ask").out
    assert first["id"] in table
    assert "ask" in table

    said = rco("run", "signal", first["id"], "answer", "--value", "42")
    assert said.status == 0
    said = rco("run", "watch", first["id"])
    assert said.status == 0
    assert f"{first['id']}  completed" in said.out
    shown = rco("run", "show", first["id"])
    assert "signal answer" in shown.out
    assert "result   42" in shown.out
    entries = json.loads(rco("run", "show", first["id"], "--json").out)["timeline"]
    assert [one["kind"] for one in entries] == ["start", "wait", "close"]

    third = json.loads(rco("run", "start", "ask", "--json").out)["id"]
    assert rco("run", "cancel", third, "--reason", "enough").status == 0
    assert rco("run", "watch", third, "--json").status == Exit.FAILED
    assert rco("run", "cancel", third).status == Exit.REFUSED

    for arguments in (("events", "list"), ("letters", "list"), ("target", "list")):
        assert rco(*arguments).out.startswith("No ")
        assert json.loads(rco(*arguments, "--json").out)["items"] == []
    assert rco("events", "show", "a/b").status == Exit.NOT_FOUND
    assert rco("run", "show", "01980000-0000-7000-8000-000000000000").status == Exit.NOT_FOUND
    assert rco("run", "show", "x").status == Exit.USAGE

    said = rco("audit", "export", "--out", "evidence.jsonl", "--journal")
    head = said.err.split()[-1]
    assert rco("audit", "verify", "evidence.jsonl", "--expect-head", head, "--complete").status == 0
    assert rco("audit", "verify", "evidence.jsonl", "--expect-head", "0" * 64).status == Exit.BROKEN
    evidence = rco("audit", "export").out.encode()
    (tmp_path / "cut.jsonl").write_bytes(evidence[: evidence.rindex(b"\n", 0, -1) + 1])
    assert rco("audit", "verify", "cut.jsonl").status == Exit.BROKEN
    assert rco("audit", "verify", "-", input=evidence.decode()).status == 0
    assert list(tmp_path.glob(".evidence*")) == []


def test_the_token_file_and_the_note_are_where_they_should_be(service, rco, tmp_path: Path) -> None:
    data = tmp_path / ".rco"
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "admin.token").stat().st_mode & 0o777 == 0o600
    note = json.loads((data / "node.json").read_text())
    assert note["pid"] == service.process.pid
    said = rco("run", "list", "--url", note["url"], "--token-file", str(data / "admin.token"), cwd=Path(os.sep))
    assert said.status == 0
    (tmp_path / "wrong").write_text("0" * 64)
    said = rco("run", "list", "--token-file", "wrong")
    assert said.status == Exit.REFUSED
    assert said.err.count("\n") == 1


def test_sigterm_drains_and_takes_the_note_away(service, tmp_path: Path) -> None:
    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert not (tmp_path / ".rco" / "node.json").exists()


def test_a_second_service_on_one_database_is_refused_with_status_4(service, rco) -> None:
    said = rco("serve", "--app", "app.py")
    assert said.status == Exit.REFUSED
    assert said.err.count("\n") == 1


def test_dev_starts_again_when_the_code_changes_and_waits_when_it_is_broken(service, rco, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    good = app.read_text()
    app.write_text(good.replace('{"hello": name}', '{"bye": name}'))
    service.until("changed; starting again")
    service.until("serving http://")
    run = json.loads(rco("run", "start", "greet", "--input", '"x"', "--wait", "20s", "--json").out)
    assert run["result"] == {"bye": "x"}
    app.write_text("def (:\n")
    service.until("changed; starting again")
    service.until("SyntaxError")
    app.write_text(good)
    service.until("serving http://")
    service.signal(signal.SIGINT)
    assert service.end() == 0


def test_dev_that_waits_for_a_broken_application_to_be_mended_ends_when_it_is_told_to(service, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def (:\n")
    service.until("SyntaxError")
    service.signal(signal.SIGINT)
    assert service.end() == 0


def test_a_stop_is_heard_while_the_service_starts(start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        running = start("serve", "--app", "app.py", "--store", f"postgresql://127.0.0.1:{silent.getsockname()[1]}/rco")
        connection, _ = silent.accept()
        with connection:
            running.signal(signal.SIGTERM)
            assert running.end() == 0
    assert running.lines == ["rco: told to stop while it was starting\n"]


def test_a_service_whose_database_is_away_says_which_and_shows_no_password(start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}/rco"
    running = start("dev", "app.py", "--store", f"postgresql://rco:hush@{where}")
    assert running.end() == Exit.FAILED
    assert len(running.lines) == 1
    assert where in running.lines[0]
    assert "hush" not in running.lines[0]


def test_serve_takes_over_a_changed_configuration_on_sighup_and_refuses_a_bad_one(start, rco, tmp_path: Path) -> None:
    assert rco("migrate").status == 0
    running = start("serve", "--app", "app.py")
    running.until("serving http://")
    config = tmp_path / "rco-config.yaml"
    before = config.read_text()
    config.write_text(before + "subscriptions:\n  - {name: s, workflow: greet, type: t}\n")
    running.signal(signal.SIGHUP)
    assert 'subscriptions[0].name: null -> "s"' in running.until("configuration:")
    config.write_text(before + "nonsense: 1\n")
    running.signal(signal.SIGHUP)
    assert "nonsense" in running.until("is not taken over")
    assert rco("run", "list").status == 0
    running.signal(signal.SIGTERM)
    assert running.end() == 0

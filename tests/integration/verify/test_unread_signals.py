"""A signal that was acknowledged and that its run never took is not lost without a trace."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.verify.party import Downstream, Logged, Service

from rco.client import Client
from rco.verify import Options, Result, check
from rco.verify.sources import read_client, read_export


async def test_a_signal_that_its_run_never_takes_is_listed_as_unread(tmp_path: Path) -> None:
    async with Downstream(tmp_path / "ledger.jsonl") as downstream:
        service = Service(tmp_path, downstream.port)
        try:
            assert service.rco("migrate").returncode == 0
            await service.start()
            async with Client(service.url, service.token) as client:
                logged = Logged(client, tmp_path / "client.jsonl")
                run_id = await logged.start("gate", "one")
                await logged.signal(run_id, "nobody", "left:0")
                for message_id in ("go:0", "go:1"):
                    await logged.signal(run_id, "go", message_id)
                await logged.closed(run_id)
            await service.end()
        finally:
            service.kill()
        assert service.rco("export", "export.jsonl").returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "export.jsonl").read_text().splitlines()]
    assert [line["message_id"] for line in lines if line["line"] == "unread"] == ["left:0"]
    verdict = check(
        read_export(tmp_path / "export.jsonl"),
        client=read_client(tmp_path / "client.jsonl"),
        options=Options(rules="b"),
    )
    assert verdict.rules[0].result is Result.PASS, verdict.text()

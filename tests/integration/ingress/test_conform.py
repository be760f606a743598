"""``rco interop conform``: every published vector over real sockets, to an instance of its own and to a live one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from rco.bridge.contract import ProviderSettings
from rco.bridge.providers import CATALOGUE
from rco.cli.conform.cases import load_cases
from rco.cli.conform.judge import Verdict, conform
from rco.cli.entry import run
from rco.errors import NotFound, Unreachable


async def verdicts(cases: list[dict[str, Any]], url: str | None) -> list[Verdict]:
    return [verdict async for verdict in conform(cases, url)]


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
async def test_every_published_vector_is_answered_as_it_should(kind: str) -> None:
    found = await verdicts(load_cases(kind), None)
    assert [one for one in found if one.right is False] == []
    assert {one.good for one in found if one.right} == {True, False}
    assert sum(one.right is None for one in found) <= 1


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
async def test_signed_anew_for_a_live_instance(run_edge, kind: str) -> None:
    cases = load_cases(kind)
    secrets = {f"env:{case['settings']['name']}:{ref}": text for case in cases for ref, text in case["secrets"].items()}
    edge = await run_edge(only=[live(case) for case in cases], secrets=secrets)
    found = await verdicts(cases, f"http://127.0.0.1:{edge.listener.port}")
    assert [one for one in found if one.right is False] == []
    goods = [one for one in found if one.good and one.right]
    assert bool(goods) is not any(case.get("certificates") for case in cases)
    # What was refused for its time was signed well: another status would have been said for a bad signature.
    times = [one for one in found if one.expected == "403 POLICY_BLOCKED" and one.right is not None]
    assert all(one.got == "403 POLICY_BLOCKED" for one in times)


def live(case: dict[str, Any]) -> ProviderSettings:
    settings = dict(case["settings"])
    settings["secrets"] = [
        {**one, "ref": f"env:{settings['name']}:{one['ref']}"} for one in settings.get("secrets", [])
    ]
    return msgspec.convert(settings, ProviderSettings)


class Careless:
    """An instance that says yes to everything."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        writer.write(self.answer)
        writer.close()


@pytest.mark.parametrize(
    ("answer", "good", "bad"),
    [
        (b'HTTP/1.1 202 OK\r\nContent-Length: 17\r\n\r\n{"accepted":true}', True, "accepted"),
        (b'HTTP/1.1 401 No\r\nContent-Length: 19\r\n\r\n{"reason":"UNAUTH"}', False, ""),
        (b'HTTP/1.1 404 No\r\nContent-Length: 22\r\n\r\n{"reason":"NOT_FOUND"}', False, "no provider is called"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", False, "another status"),
    ],
)
async def test_an_instance_that_is_wrong_is_found(answer: bytes, good: bool, bad: str) -> None:
    server = await asyncio.start_server(Careless(answer).handle, "127.0.0.1", 0)
    try:
        found = await verdicts(load_cases("github"), f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()
    assert {one.right for one in found if one.good} == {good}
    unsigned = next(one for one in found if one.vector == "no headers at all")
    assert unsigned.right is (bad == "")
    assert unsigned.why.startswith(bad)


async def test_nobody_there() -> None:
    with pytest.raises(Unreachable):
        await verdicts(load_cases("github"), "http://127.0.0.1:9")


def test_no_vectors() -> None:
    with pytest.raises(NotFound):
        load_cases("../capability/tokens")


def test_the_command(capsys) -> None:
    assert run(["interop", "conform", "shopify", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["wrong"]) == (True, [])
    assert said["right"] == len(said["verdicts"])
    assert run(["interop", "conform", "nobody"]) == 3
    assert run(["interop", "conform", "shopify", "--url", "http://127.0.0.1:9"]) == 5


def test_the_list(capsys) -> None:
    assert run(["interop", "providers", "--json"]) == 0
    assert [one["kind"] for one in json.loads(capsys.readouterr().out)] == list(CATALOGUE)
    assert run(["interop", "providers", "stripe"]) == 0
    assert "Stripe-Signature" in capsys.readouterr().out
    assert run(["interop", "providers", "nobody"]) == 3

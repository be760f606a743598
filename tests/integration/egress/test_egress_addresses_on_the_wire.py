"""Nothing that must not be reached is reached: judged by sockets made and connections accepted."""

import asyncio
import socket
import subprocess
from pathlib import Path

import aiohttp
import pytest
from tests.integration.egress.rig import Names, Rig, Sockets, ask, bad, good, reply

from rco.egress.addresses import parse_networks
from rco.egress.socket_guard import JOURNEY, Journey, SocketGuard
from rco.model.target import Credential


@pytest.mark.parametrize(
    "request_",
    [
        ask(target="nobody"),
        ask("PATCH"),
        ask(path="/b/1"),
        ask(path="/a/../b"),
        ask(path="http://127.0.0.1/a/1"),
        ask(path="//127.0.0.1/a/1"),
        ask(path="/a/1?x=1"),
        ask("TRACE"),
        ask("POST /a/1 HTTP/1.1\r\nX: "),
        ask(headers={"Host": "evil"}),
        ask(headers={"Authorization": "Bearer mine"}),
        ask(headers={"X": "a\r\nY: b"}),
        ask(json=float("nan")),
        ask(json="x" * (1 << 21)),
        ask(timeout_s=0.0),
        ask(timeout_s=float("inf")),
    ],
)
async def test_what_is_not_allowed_opens_no_socket(rig: Rig, request_) -> None:
    server = await rig.serve(reply())
    egress = await rig.egress(rig.target(server, credential=Credential(secret="env:KEY")))
    failed = await bad(egress, request_)
    assert (failed.code, failed.retryable, failed.ambiguous) == ("call_refused", False, False)
    (decision,) = failed.decisions
    assert not decision.allow
    assert decision.reason == failed.data["reason"]
    assert all(" " < char <= "~" and char not in "?#" for char in str(decision.facts["path"]))
    assert rig.sockets.made == []
    assert server.accepted == 0
    await good(egress)
    assert rig.sockets.made == ["127.0.0.1"]


@pytest.mark.parametrize(
    "host",
    [
        *("127.1", "0x7f000001", "0x7f.1", "2130706433", "0177.0.0.1", "0", "localhost", "127.0.0.1", "[::1]", "[::]"),
        *("[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[::127.0.0.1]"),
        *("169.254.169.254", "[fd00:ec2::254]", "168.63.129.16", "100.100.100.200", "10.0.0.1", "[2002:7f00:1::]"),
    ],
)
async def test_literals_are_caught_at_connect(rig: Rig, host: str) -> None:
    server = await rig.serve(reply())
    egress = await rig.egress(rig.target(base_url=f"http://{host}:{server.port}", allow_private=[]))
    failed = await bad(egress)
    # Forms that neither the client library nor the resolver takes for an address never come as far as the guard.
    assert failed.data["reason"].startswith("address_") or failed.data["reason"] in ("dns_failed", "connect_failed")
    assert failed.ambiguous is False
    assert rig.sockets.made == []
    assert server.accepted == 0


@pytest.mark.parametrize(
    "host", ["127。0。0。1", "①②⑦.0.0.1", "\uff11\uff12\uff17.0.0.1", "0x7f000001", "2130706433", "127.1"]
)
async def test_the_guard_alone_stops_digits_of_every_kind(rig: Rig, host: str) -> None:
    """Without the checks of the configuration: the connector's own doing, and nothing but the guard below it."""
    server = await rig.serve(reply())
    sockets = Sockets()
    guard = SocketGuard(port=server.port, allow_private=(), opener=sockets)
    journey = Journey()
    token = JOURNEY.set(journey)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=guard)) as session:
        with pytest.raises((aiohttp.ClientError, ValueError)):
            await session.get(f"http://{host}:{server.port}/")
    JOURNEY.reset(token)
    assert (sockets.made, server.accepted) == ([], 0)


async def test_a_name_that_resolves_to_something_else_the_second_time(rig: Rig) -> None:
    server = await rig.serve(reply())
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    # Stands for a public host that takes no connection, so that the test stays on this machine.
    rig.sockets = Sockets(refuse=frozenset({"93.184.216.34"}))
    target = rig.target(base_url=f"http://rebind.test:{server.port}", allow_private=[])
    egress = await rig.egress(target, resolver=names)
    first = await bad(egress)
    assert (first.data["reason"], first.retryable, first.ambiguous) == ("connect_failed", True, False)
    # The resolver's answer is cached for seconds; a fresh egress asks again, as the cache would after its time.
    again = await rig.egress(target, resolver=names)
    second = await bad(again)
    assert (second.data["reason"], second.code, second.retryable) == ("address_loopback", "call_refused", False)
    assert not second.decisions[0].allow
    assert names.asked == 2
    assert rig.sockets.made == ["93.184.216.34"]
    assert server.accepted == 0


@pytest.mark.parametrize(
    "answer", [["127.0.0.1", "93.184.216.34"], ["93.184.216.34", "127.0.0.1"], ["::1", "127.0.0.1"]]
)
async def test_mixed_answers_lead_nowhere_private(rig: Rig, answer: list[str]) -> None:
    server = await rig.serve(reply())
    rig.sockets = Sockets(refuse=frozenset({"93.184.216.34"}))
    target = rig.target(base_url=f"http://mixed.test:{server.port}", allow_private=[])
    egress = await rig.egress(target, resolver=Names(answer))
    assert (await bad(egress)).data["reason"].startswith("address_")
    assert "127.0.0.1" not in rig.sockets.made
    assert server.accepted == 0


async def test_a_name_that_leads_to_an_allowed_network_works(rig: Rig) -> None:
    server = await rig.serve(reply())
    egress = await rig.egress(rig.target(base_url=f"http://inside.test:{server.port}"), resolver=Names(["127.0.0.1"]))
    await good(egress)
    assert server.requests[0].headers["host"] == f"inside.test:{server.port}"


async def test_a_pool_is_never_shared_between_targets(rig: Rig) -> None:
    server = await rig.serve(reply())
    egress = await rig.egress(rig.target(server), rig.target(server, name="strict", allow_private=[]))
    await good(egress)
    assert (await bad(egress, ask(target="strict"))).data["reason"] == "address_loopback"
    assert server.accepted == 1
    assert len(server.requests) == 1


@pytest.mark.parametrize("port", [22, 25, 6000, 6667])
async def test_ports_of_other_protocols_are_refused(rig: Rig, port: int) -> None:
    egress = await rig.egress(rig.target(base_url=f"http://127.0.0.1:{port}"))
    assert (await bad(egress)).data["reason"] == "address_port"
    assert rig.sockets.made == []


def test_the_guard_takes_one_port_and_tcp_only() -> None:
    sockets = Sockets()
    guard = SocketGuard(port=8080, allow_private=parse_networks(["127.0.0.0/8", "fe80::/10"]), opener=sockets)
    guard((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 8080))).close()
    for info in (
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 8081)),
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 8080)),
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("/run/x.sock", 8080)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 8080, 0, 2)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 8080, 0, 0)),
    ):
        with pytest.raises(OSError, match="address refused"):
            guard(info)
    assert sockets.made == ["127.0.0.1"]


async def test_a_redirect_to_metadata_is_not_followed(rig: Rig) -> None:
    server = await rig.serve(reply(302, b"", "Location: http://169.254.169.254/latest/meta-data/?token=x"))
    egress = await rig.egress(rig.target(server))
    failed = await bad(egress, ask("GET"))
    assert (failed.data["status"], failed.retryable, failed.data["reason"]) == (302, False, "redirect")
    assert rig.sockets.made == ["127.0.0.1"]
    assert egress.state()[0].window_failed == 1


async def test_a_refused_connection_sent_nothing(rig: Rig) -> None:
    gone = await rig.serve(reply())
    await gone.stop()
    failed = await bad(await rig.egress(rig.target(gone)))
    assert (failed.data["reason"], failed.retryable, failed.ambiguous) == ("connect_failed", True, False)


async def test_a_name_that_does_not_resolve_sent_nothing(rig: Rig) -> None:
    failed = await bad(await rig.egress(rig.target(), resolver=Names([])))
    assert (failed.data["reason"], failed.retryable, failed.ambiguous) == ("dns_failed", True, False)
    assert failed.decisions[0].allow


async def test_a_certificate_nobody_vouches_for_gets_no_request(rig: Rig, tmp_path: Path) -> None:
    import ssl

    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=t"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    server = await rig.serve(reply(), tls=context)
    target = rig.target(base_url=f"https://127.0.0.1:{server.port}")
    failed = await bad(await rig.egress(target))
    assert (failed.data["reason"], failed.ambiguous) == ("tls_failed", False)
    assert server.requests == []
    trusting = await rig.egress(target, tls=ssl.create_default_context(cafile=str(cert)))
    assert (await good(trusting)).value["status"] == 200
    await asyncio.sleep(0)

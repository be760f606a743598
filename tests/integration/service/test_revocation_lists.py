"""Revocation lists of clients: what is wrong with one is told before it is served, and its end shuts the listener."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.servers.certificates import Authority, Issued

from rco.config.secrets import Secrets
from rco.errors import ConfigInvalid
from rco.kit.clock import MICROS, SystemClock
from rco.server import list_watch
from rco.server.list_watch import ListWatch
from rco.server.serving import Listener
from rco.server.tls import Served, TlsOptions, read_certificate

NOW_US = SystemClock().now_us()
DAY_US = 86_400 * MICROS


@pytest.fixture(scope="module")
def clients() -> Authority:
    return Authority("clients")


@pytest.fixture(scope="module")
def server() -> Issued:
    return Authority().issue()


class Reading:
    """Reads what a folder holds as the listener would."""

    def __init__(self, folder: Path, server: Issued, *authorities: Authority) -> None:
        self.folder = folder
        certificate, key = server.write(folder, mode=0o600)
        (folder / "clients.pem").write_bytes(b"".join(one.issued.pem for one in authorities))
        self.options = TlsOptions(
            enabled=True,
            certificate=f"file:{certificate}",
            private_key=f"file:{key}",
            client_ca=f"file:{folder / 'clients.pem'}",
            client_revocations=f"file:{folder / 'clients.crl'}",
        )

    def read(self, lists: bytes, now_us: int = NOW_US) -> Served:
        (self.folder / "clients.crl").write_bytes(lists)
        return read_certificate(self.options, Secrets(os.environ), now_us)

    def told(self, lists: bytes, now_us: int = NOW_US) -> str:
        with pytest.raises(ConfigInvalid) as raised:
            self.read(lists, now_us)
        assert raised.value.key == "tls.client_revocations"
        assert raised.value.cure
        return raised.value.message


@pytest.fixture
def reading(tmp_path: Path, server: Issued, clients: Authority) -> Reading:
    return Reading(tmp_path, server, clients)


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)


def test_pem_and_der_are_the_same(reading: Reading, clients: Authority) -> None:
    pem = clients.revoked(clients.issue("gone"))
    served = reading.read(pem)
    assert served.revoked == pem
    assert abs(served.revoked_until_us - (NOW_US + DAY_US)) < 3600 * MICROS
    other = reading.read(der(pem))
    assert (other.revoked, other.mark) == (served.revoked, served.mark)
    assert reading.read(clients.revoked()).mark != served.mark


def test_what_is_wrong_is_told(reading: Reading, clients: Authority, tmp_path: Path) -> None:
    assert "no revocation list" in reading.told(b"not a list")
    assert "no revocation list" in reading.told(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    assert "0 revocation lists" in reading.told(b"-----BEGIN NOTHING-----")
    assert "0 revocation lists" in reading.told(clients.issued.pem)
    assert "expired on" in reading.told(clients.revoked(days=-0.5))
    assert "expired on" in reading.told(clients.revoked(days=0.25), NOW_US + DAY_US // 2)
    assert "not valid before" in reading.told(clients.revoked(begun=0.5))
    assert "no authority of tls.client_ca signed" in reading.told(Authority("others").revoked())
    # Of the same name, and another key.
    assert "no authority of tls.client_ca signed" in reading.told(Authority("clients").revoked())
    assert "only a part" in reading.told(clients.revoked(more=x509.DeltaCRLIndicator(1)))
    flipped = bytearray(der(clients.revoked()))
    flipped[len(flipped) // 2] ^= 1
    assert reading.told(bytes(flipped))
    (tmp_path / "clients.crl").unlink()
    with pytest.raises(ConfigInvalid, match=r"tls\.client_revocations.*cannot be read"):
        read_certificate(reading.options, Secrets(os.environ), NOW_US)


def test_each_authority_needs_one(tmp_path: Path, server: Issued, clients: Authority) -> None:
    more = Authority("more")
    reading = Reading(tmp_path, server, clients, more)
    assert "holds no list of CN=more" in reading.told(clients.revoked())
    served = reading.read(clients.revoked(days=3) + more.revoked(days=2))
    # The first to end counts.
    assert abs(served.revoked_until_us - (NOW_US + 2 * DAY_US)) < 3600 * MICROS


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at_us = NOW_US

    def now_us(self) -> int:
        return self.at_us

    def monotonic(self) -> float:
        return 0.0


class Doors:
    """A listener with lists, watched."""

    def __init__(self, folder: Path, served: Served) -> None:
        self.folder, self.clock, self.ended = folder, Hand(), asyncio.Event()
        self.listener = Listener(_answers, tls=served)
        self.watch = ListWatch(self.listener, self.clock, self.ended.set)

    async def ask(self, client: Issued) -> bool:
        """Whether a client with this certificate gets an answer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(*client.write(self.folder, "client"))
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port, ssl=context)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
        except (OSError, ssl.SSLError):
            return False
        return answer.startswith(b"HTTP/1.1 200")


async def _answers(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


@pytest.fixture
async def doors(
    tmp_path: Path, reading: Reading, clients: Authority, gone: Issued, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Doors]:
    monkeypatch.setattr(list_watch, "LOOK_S", 0.01)
    doors = Doors(tmp_path, reading.read(clients.revoked(gone)))
    await doors.listener.start()
    await doors.watch.start()
    yield doors
    await doors.watch.stop()
    await doors.watch.stop()
    await doors.listener.stop()


@pytest.fixture(scope="module")
def gone(clients: Authority) -> Issued:
    return clients.issue("gone")


async def test_who_was_taken_back_does_not_get_in(doors: Doors, clients: Authority, gone: Issued) -> None:
    assert await doors.ask(clients.issue("good"))
    assert not await doors.ask(gone)
    assert not await doors.ask(Authority("clients").issue("a stranger"))


async def test_a_newer_list_counts_for_new_connections(
    doors: Doors, reading: Reading, clients: Authority, gone: Issued
) -> None:
    good = clients.issue("good")
    await doors.listener.renew(reading.read(clients.revoked(gone, good)))
    assert not await doors.ask(good)
    await doors.listener.renew(reading.read(clients.revoked()))
    assert await doors.ask(gone)


async def test_when_a_list_ends_nobody_gets_in_until_there_is_another(
    doors: Doors, reading: Reading, clients: Authority, gone: Issued
) -> None:
    good = clients.issue("good")
    assert await doors.ask(good)
    assert doors.watch.current
    assert doors.listener.tls is not None
    doors.clock.at_us = doors.listener.tls.revoked_until_us
    async with asyncio.timeout(30):
        await doors.ended.wait()
        while doors.watch.current:
            await asyncio.sleep(0)
    assert not await doors.ask(good)
    assert not await doors.ask(gone)
    await doors.listener.renew(reading.read(clients.revoked(gone, days=3)))
    assert doors.watch.current
    assert await doors.ask(good)
    assert not await doors.ask(gone)

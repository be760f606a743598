"""TLS at the listener of the real service, spoken to by real clients."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.integration.service.conftest import SECRET, Downstream, World
from tests.servers.certificates import Authority, Issued

from rco.app import build
from rco.client import Client
from rco.config.settings import Settings
from rco.errors import ConfigInvalid
from rco.server.tls import TlsOptions


class Secured(World):
    """A service that speaks TLS, and who trusts its authority."""

    def __init__(self, folder: Path, downstream: Downstream, **tls: Any) -> None:
        super().__init__(folder, downstream)
        self.authority = Authority()
        self.root = self.authority.write(folder)
        self.first = self.authority.issue()
        self.certificate, self.key = self.first.write(folder)
        self.tls = TlsOptions(
            enabled=True, certificate=f"file:{self.certificate}", private_key=f"file:{self.key}", **tls
        )

    def settings(self, **more: Any) -> Settings:
        return msgspec.structs.replace(super().settings(**more), tls=self.tls)

    async def start(self) -> None:
        self.service = await build(self.settings(), environ={"SHOP": SECRET}, migrating=True)
        await self.service.start()
        self.port = int(self.service.url.rpartition(":")[2])

    async def stop(self) -> None:
        await self.service.stop()

    def trusting(self, client: Issued | None = None, **changed: Any) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.root))
        for name, value in changed.items():
            setattr(context, name, value)
        if client is not None:
            context.load_cert_chain(*client.write(self.folder, "client"))
        return context

    async def ask(self, context: ssl.SSLContext | bool, path: str = "/healthz") -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"https://127.0.0.1:{self.port}{path}", ssl=context) as answer,
        ):
            await answer.read()
            return answer.status

    async def shown(self, context: ssl.SSLContext) -> bytes:
        """The certificate that a new connection is shown."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        try:
            return bytes(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        finally:
            writer.transport.abort()


async def _secured(folder: Path, **tls: Any) -> AsyncIterator[Secured]:
    downstream = Downstream()
    await downstream.start()
    world = Secured(folder, downstream, **tls)
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    async for world in _secured(tmp_path):
        yield world


async def test_it_speaks_tls_and_nothing_else(secured: Secured) -> None:
    assert secured.service.url == f"https://127.0.0.1:{secured.port}"
    assert await secured.ask(secured.trusting()) == 200
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await secured.ask(True)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://127.0.0.1:{secured.port}/healthz")
        # Metrics are for the inside, and stay as they were.
        async with session.get(f"{secured.service.metrics_url}/metrics") as answer:
            text = await answer.text()
    (line,) = [line for line in text.splitlines() if line.startswith("rco_tls_certificate_not_after_seconds ")]
    assert float(line.split()[1]) == secured.first.certificate.not_valid_after_utc.timestamp()


async def test_a_webhook_and_the_client_over_tls(secured: Secured) -> None:
    body, headers = secured.signed("msg_1", "order.paid", {"order": "o1"})
    async with aiohttp.ClientSession() as session:
        url = f"{secured.service.url}/webhooks/shop"
        async with session.post(url, data=body, headers=headers, ssl=secured.trusting()) as answer:
            assert answer.status == 202
    token = (secured.folder / "data" / "admin.token").read_text().strip()
    async with Client(secured.service.url, token, tls=secured.trusting()) as client:
        assert len((await client.events()).items) == 1


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize(("least", "wanted"), [("1.2", True), ("1.3", False)])
async def test_the_least_version(tmp_path: Path, least: Any, wanted: bool) -> None:
    async for world in _secured(tmp_path, min_version=least):
        old = world.trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
        if wanted:
            assert await world.ask(old) == 200
        else:
            with pytest.raises(aiohttp.ClientError):
                await world.ask(old)
        assert await world.ask(world.trusting(minimum_version=ssl.TLSVersion.TLSv1_3)) == 200
        older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        older.load_verify_locations(world.root)
        older.set_ciphers("ALL:@SECLEVEL=0")
        older.minimum_version = older.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await world.ask(older)


async def test_clients_must_show_a_certificate_of_the_authority_named(tmp_path: Path) -> None:
    theirs = Authority("clients")
    ca = theirs.write(tmp_path)
    async for world in _secured(tmp_path, client_ca=f"file:{ca}"):
        assert await world.ask(world.trusting(theirs.issue("a client"))) == 200
        for stranger in (None, Authority("clients").issue("a stranger"), theirs.issue("late", days=-1)):
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await world.ask(world.trusting(stranger))


async def test_a_client_that_was_taken_back_gets_no_further_than_the_handshake(tmp_path: Path) -> None:
    theirs = Authority("clients")
    ca, lists = theirs.write(tmp_path), tmp_path / "clients.crl"
    good, gone = theirs.issue("good"), theirs.issue("gone")
    lists.write_bytes(theirs.revoked(gone))
    async for world in _secured(tmp_path, client_ca=f"file:{ca}", client_revocations=f"file:{lists}"):
        assert await world.ask(world.trusting(good)) == 200
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await world.ask(world.trusting(gone))
        async with aiohttp.ClientSession() as session, session.get(f"{world.service.metrics_url}/metrics") as answer:
            text = await answer.text()
        (line,) = [line for line in text.splitlines() if line.startswith("rco_tls_client_revocations_until_seconds ")]
        assert 0 < float(line.split()[1]) - time.time() < 90_000
        # One that has expired is not taken over, and the one in effect stays.
        lists.write_bytes(theirs.revoked(days=-0.1))
        with pytest.raises(ConfigInvalid, match=r"tls\.client_revocations.*expired"):
            await world.service.reload(world.settings())
        assert await world.ask(world.trusting(good)) == 200
        lists.write_bytes(theirs.revoked(gone, good))
        await world.service.reload(world.settings())
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await world.ask(world.trusting(good))


async def test_a_list_that_has_expired_lets_no_service_start(tmp_path: Path) -> None:
    theirs = Authority("clients")
    ca, lists = theirs.write(tmp_path), tmp_path / "clients.crl"
    lists.write_bytes(theirs.revoked(days=-0.1))
    with pytest.raises(ConfigInvalid, match=r"tls\.client_revocations.*expired"):
        async for _ in _secured(tmp_path, client_ca=f"file:{ca}", client_revocations=f"file:{lists}"):
            pass


async def test_commands_show_a_certificate_and_trust_whom_they_are_told(tmp_path: Path) -> None:
    ca = Authority("clients")
    async for world in _secured(tmp_path, client_ca=f"file:{ca.write(tmp_path)}"):
        certificate, key = ca.issue("operator").write(tmp_path, "operator")
        told = {
            "RCO_URL": world.service.url,
            "RCO_TOKEN_FILE": str(tmp_path / "data" / "admin.token"),
            "RCO_CA_FILE": str(world.root),
            "RCO_CERTIFICATE_FILE": str(certificate),
            "RCO_PRIVATE_KEY_FILE": str(key),
        }
        for left_out, status in (("", 0), ("RCO_CERTIFICATE_FILE", 1), ("RCO_CA_FILE", 1)):
            environ = {**os.environ, **{name: text for name, text in told.items() if name != left_out}}
            asked = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rco", "events", "list"),
                env=environ,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            _, said = await asked.communicate()
            assert (asked.returncode == 0) == (status == 0), said
            assert b"Traceback" not in said


async def test_a_renewed_certificate_is_served_without_a_request_refused(secured: Secured) -> None:
    context = secured.trusting()
    answers: list[int] = []
    done = asyncio.Event()

    async def keep_asking() -> None:
        while not done.is_set():
            answers.append(await secured.ask(context))

    old_session = aiohttp.ClientSession()
    async with old_session.get(f"{secured.service.url}/healthz", ssl=context) as answer:
        assert answer.status == 200
    asking = asyncio.gather(*(keep_asking() for _ in range(4)))
    for _ in range(3):
        renewed = secured.authority.issue()
        renewed.write(secured.folder)
        await secured.service.reload(secured.settings())
        assert await secured.shown(context) == renewed.certificate.public_bytes(Encoding.DER)
    before = len(answers)
    while len(answers) < before + 20:
        await asyncio.sleep(0.01)
    done.set()
    await asking
    await old_session.close()
    assert set(answers) == {200}
    # Nobody who retired is left.
    async with asyncio.timeout(20):
        while secured.service._listener._retiring:
            await asyncio.sleep(0.01)


async def test_what_cannot_be_served_is_refused_and_the_old_one_stays(secured: Secured) -> None:
    context = secured.trusting()
    before = await secured.shown(context)
    renewed = secured.authority.issue()
    for spoil in (
        lambda: secured.key.write_bytes(b"nothing"),
        lambda: secured.authority.issue(days=-1).write(secured.folder),
        lambda: secured.authority.issue().write(secured.folder, mode=0o644),
        lambda: secured.certificate.write_bytes(renewed.pem),
    ):
        spoil()
        with pytest.raises(ConfigInvalid):
            await secured.service.reload(secured.settings())
        assert await secured.shown(context) == before
        assert await secured.ask(context) == 200
    refused = [one for one in await secured.decisions() if one["verb"] == "config" and not one.get("allow", True)]
    assert {one["subject"] for one in refused} == {"tls.private_key", "tls.certificate"}
    with pytest.raises(ConfigInvalid, match=r"tls\.enabled"):
        await secured.service.reload(msgspec.structs.replace(secured.settings(), tls=TlsOptions()))


async def test_a_service_does_not_start_with_what_cannot_be_served(tmp_path: Path) -> None:
    downstream = Downstream()
    await downstream.start()
    world = Secured(tmp_path, downstream)
    world.authority.issue(days=-1).write(tmp_path)
    with pytest.raises(ConfigInvalid, match="expired"):
        await world.start()
    await downstream.stop()


async def test_the_key_is_in_no_file_but_its_own(secured: Secured) -> None:
    key = secured.key.read_bytes().splitlines()[1]
    holding = [path for path in secured.folder.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert holding == [secured.key]
    # What the server was given to read is gone when it has read it.
    maps = [str(path.resolve()) for path in Path("/proc/self/fd").iterdir()]
    assert not [name for name in maps if "rco-tls" in name]

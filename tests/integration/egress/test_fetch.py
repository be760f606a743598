"""Fetching over TLS from a real server with a certificate chain of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rco.egress.fetch import Fetcher, system_roots
from rco.errors import Unreachable

HOST = "keys.example.com"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def chain(folder: Path, name: str = HOST) -> tuple[Path, Path]:
    """A root and, in one file, a certificate for ``name`` with its key."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    now = datetime.now(UTC)
    made = []
    for subject, key, authority in (("root", keys[0], True), (name, keys[1], False)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
        )
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(Encoding.PEM))
    private = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "root.pem").write_bytes(made[0])
    (folder / "server.pem").write_bytes(made[1] + private)
    return folder / "root.pem", folder / "server.pem"


class Here(AbstractResolver):
    """Every name is this machine, at the server's port."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=self.port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None: ...


class Origin:
    """A server that answers each path with what is under it, and counts what it is asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.port = 0
        self.released = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        self.asked.append(path)
        if path == "/silent":
            await self.released.wait()
        writer.write(self.answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
        writer.close()


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[Origin]:
    origin = Origin()
    _, server_file = chain(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(server_file)
    server = await asyncio.start_server(origin.handle, "127.0.0.1", 0, ssl=tls)
    origin.port = server.sockets[0].getsockname()[1]
    yield origin
    origin.released.set()
    server.close()


@pytest.fixture
async def fetcher(origin: Origin, tmp_path: Path) -> AsyncIterator[Any]:
    made: list[Fetcher] = []

    def make(**changed: Any) -> Fetcher:
        tls = ssl.create_default_context(cafile=str(tmp_path / "root.pem"))
        settings = {
            "resolver": Here(origin.port),
            "tls": tls,
            "port": origin.port,
            "allow_private": LOOPBACK,
            "timeout_s": 20.0,
            **changed,
        }
        made.append(Fetcher(**settings))
        return made[-1]

    yield make
    for one in made:
        await one.stop()
        await one.stop()


def ok(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), more, body)


async def test_fetched(origin: Origin, fetcher: Any) -> None:
    origin.answers["/a.pem"] = ok(b"certificate")
    assert await fetcher()(f"https://{HOST}/a.pem", 11) == (200, b"certificate")
    assert (await fetcher()(f"https://{HOST}/b.pem", 11))[0] == 404


async def test_more_than_the_cap_is_no_answer(origin: Origin, fetcher: Any) -> None:
    origin.answers["/a"] = ok(b"x" * 12)
    origin.answers["/b"] = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000
    for path in ("a", "b"):
        with pytest.raises(Unreachable, match="more than 11 bytes"):
            await fetcher()(f"https://{HOST}/{path}", 11)


async def test_a_redirect_is_not_followed(origin: Origin, fetcher: Any) -> None:
    origin.answers["/a"] = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
    origin.answers["/b"] = ok(b"certificate")
    assert (await fetcher()(f"https://{HOST}/a", 11))[0] == 302
    assert origin.asked == ["/a"]


async def test_one_deadline_for_everything(origin: Origin, fetcher: Any) -> None:
    with pytest.raises(Unreachable, match="TimeoutError"):
        await fetcher(timeout_s=0.2)(f"https://{HOST}/silent", 11)


async def test_a_server_that_is_not_the_one(origin: Origin, fetcher: Any) -> None:
    with pytest.raises(Unreachable):
        await fetcher()("https://other.example.com/a", 11)
    with pytest.raises(Unreachable):
        await fetcher(tls=ssl.create_default_context())(f"https://{HOST}/a", 11)
    assert origin.asked == []


@pytest.mark.parametrize("changed", [{"allow_private": ()}, {"port": 443}])
async def test_where_it_may_not_go_there_is_no_socket(origin: Origin, fetcher: Any, changed: Any) -> None:
    opened: list[Any] = []

    def opener(info: Any) -> socket.socket:
        opened.append(info)
        return socket.socket(info[0], info[1])

    with pytest.raises(Unreachable):
        await fetcher(opener=opener, **changed)(f"https://{HOST}/a", 11)
    assert opened == []
    assert origin.asked == []


@pytest.mark.parametrize(
    "url", [f"http://{HOST}/a", f"https://{HOST}:8443/a", f"https://a@{HOST}/a", "file:///etc/passwd", "/a"]
)
async def test_only_plain_https(fetcher: Any, url: str) -> None:
    with pytest.raises(Unreachable):
        await fetcher()(url, 11)


def test_this_machine_has_roots() -> None:
    assert all(x509.load_der_x509_certificate(root) for root in system_roots()[:3])

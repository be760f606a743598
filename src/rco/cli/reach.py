"""Finding the service a command talks to."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter

from rco.cli.node import NODE_FILE, read_node
from rco.client import Client
from rco.errors import ConfigInvalid, NotFound, Unreachable

__all__ = ["ADMIN_TOKEN", "LINK", "Link", "ask"]

T = TypeVar("T")
ADMIN_TOKEN = "admin.token"  # noqa: S105 - a file's name
_FILE_BYTES_MAX = 4096


@Parameter(name="*")
@dataclass(frozen=True)
class Link:
    """Which service to talk to, and how to show its answer."""

    url: str | None = None
    "Address of the service, e.g. http://127.0.0.1:8080."
    token_file: Path | None = None
    "File that holds the bearer token."
    json: Annotated[bool, Parameter(negative="")] = False
    "Machine-readable output: JSON, stable within a major version."

    within: Annotated[str | None, Parameter(name="--in")] = None
    "Work in this namespace, of those that the token is bound to; RCO_NAMESPACE when not given, else the token's own."


LINK = Link()
"""Nothing given: the service that runs here."""


def ask(link: Link, question: Callable[[Client], Awaitable[T]]) -> T:
    """Open a client, put one question to it, close it."""
    url, token = _find(link)

    async def put() -> T:
        within = link.within or os.environ.get("RCO_NAMESPACE")
        async with Client(url, token, namespace=within, tls=_tls(url)) as client:
            return await question(client)

    return asyncio.run(put())


def _find(link: Link) -> tuple[str, str]:
    data_dir = Path(os.environ.get("RCO_DATA_DIR") or ".rco")
    node = read_node(data_dir)
    url = link.url or os.environ.get("RCO_URL") or (node.url if node is not None else None)
    if url is None:
        raise Unreachable(
            f"no service is known: there is no {data_dir / NODE_FILE}.",
            cure="Start one with rco dev app.py, or give --url and --token-file.",
        )
    if not url.startswith(("http://", "https://")) or any(char.isspace() for char in url):
        raise ConfigInvalid(f"{url!r} is not the address of a service", cure="Write e.g. http://127.0.0.1:8080.")
    named = os.environ.get("RCO_TOKEN_FILE")
    token_file = link.token_file or (Path(named) if named else None)
    if token_file is None:
        # The local token is for the local service only; it must not travel to whatever --url names.
        if node is None or url.rstrip("/") != node.url.rstrip("/"):
            raise ConfigInvalid(f"no token is given for {url}", cure="Give --token-file or set RCO_TOKEN_FILE.")
        token_file = data_dir / ADMIN_TOKEN
    return url, _token(token_file)


def _tls(url: str) -> ssl.SSLContext | None:
    """Whom to trust (RCO_CA_FILE) and what to show (RCO_CERTIFICATE_FILE, with RCO_PRIVATE_KEY_FILE unless it holds the
    key too); ``None`` where nothing is said."""
    ca, certificate = os.environ.get("RCO_CA_FILE"), os.environ.get("RCO_CERTIFICATE_FILE")
    if not url.startswith("https://") or not (ca or certificate):
        return None
    try:
        context = ssl.create_default_context(cafile=ca or None)
        if certificate:
            context.load_cert_chain(certificate, os.environ.get("RCO_PRIVATE_KEY_FILE") or None)
    except OSError as error:  # what is no PEM is an SSLError, which is one
        raise ConfigInvalid(
            f"the certificates for {url} cannot be used: {error.strerror or error}",
            cure="Check RCO_CA_FILE, RCO_CERTIFICATE_FILE and RCO_PRIVATE_KEY_FILE; all of them are PEM.",
        ) from None
    return context


def _token(path: Path) -> str:
    try:
        token = _small(path).decode("ascii").strip()
    except OSError as error:
        raise NotFound(f"the token file {path} cannot be read: {error.strerror}.", cure="Check --token-file.") from None
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable() or " " in token:
        raise ConfigInvalid(f"{path} does not hold a token", cure="It holds one line: the token and nothing else.")
    return token


def _small(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_FILE_BYTES_MAX)

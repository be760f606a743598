"""What is wrong with a certificate is told at its key, with the cure, before anybody meets it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from tests.servers.certificates import Authority, Issued, pem_of

from rco.config import problems, problems_interop
from rco.config.secrets import Secrets
from rco.errors import ConfigInvalid
from rco.kit.clock import SystemClock
from rco.server.tls import Served, TlsOptions, read_certificate

NOW_US = SystemClock().now_us()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def read(folder: Path, issued: Issued, *, mode: int = 0o600, now_us: int = NOW_US, **changed: Any) -> Served:
    certificate, key = issued.write(folder, mode=mode)
    options = {"certificate": f"file:{certificate}", "private_key": f"file:{key}", **changed}
    return read_certificate(TlsOptions(enabled=True, **options), Secrets(os.environ), now_us)


def told(folder: Path, issued: Issued, **changed: Any) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as raised:
        read(folder, issued, **changed)
    assert raised.value.cure
    assert "PRIVATE" not in str(raised.value).replace("-----BEGIN PRIVATE KEY-----", "")
    return raised.value


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["p256", "p384", "ed25519", "rsa"],
)
def test_what_is_right_is_read_in_whatever_form_it_is_written(tmp_path: Path, authority: Authority, key: Any) -> None:
    issued = authority.issue(key=key)
    served = read(tmp_path, issued)
    assert served.leaf == issued.certificate.public_bytes(Encoding.DER)
    assert served.chain == issued.pem
    assert served.client_ca == b""
    assert served.not_after_us == int(issued.certificate.not_valid_after_utc.timestamp()) * 1_000_000
    assert "PRIVATE" not in repr(served)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        # The traditional form becomes the one that the server takes.
        (tmp_path / "server.key").write_bytes(pem_of(key, PrivateFormat.TraditionalOpenSSL))
    (tmp_path / "server.key").chmod(0o440)
    options = TlsOptions(
        enabled=True, certificate=f"file:{tmp_path}/server.pem", private_key=f"file:{tmp_path}/server.key"
    )
    again = read_certificate(options, Secrets({}), NOW_US)
    assert again.mark == served.mark
    assert again.private_key.startswith(b"-----BEGIN PRIVATE KEY-----")
    load_pem_private_key(again.private_key, None)


def test_a_certificate_may_stand_in_variables(authority: Authority) -> None:
    issued = authority.issue()
    environ = {"CERT": issued.pem.decode(), "KEY": pem_of(issued.key).decode()}
    options = TlsOptions(enabled=True, certificate="env:CERT", private_key="env:KEY")
    assert read_certificate(options, Secrets(environ), NOW_US).chain == issued.pem


def test_time(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue()
    problem = told(tmp_path, authority.issue(days=-1))
    assert problem.key == "tls.certificate"
    assert "expired on" in problem.message
    last_us = round(issued.certificate.not_valid_after_utc.timestamp() * 1e6)
    first_us = round(issued.certificate.not_valid_before_utc.timestamp() * 1e6)
    assert "expired" in told(tmp_path, issued, now_us=last_us + 1).message
    assert "not valid before" in told(tmp_path, issued, now_us=first_us - 1).message
    for at_us in (first_us, last_us):
        read(tmp_path, issued, now_us=at_us)


def test_the_key_of_another(tmp_path: Path, authority: Authority) -> None:
    mixed = Issued(authority.issue().certificate, authority.issue().key)
    problem = told(tmp_path, mixed)
    assert (problem.key, "is not the key of the certificate" in problem.message) == ("tls.private_key", True)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o660, 0o602, 0o601, 0o620])
def test_a_key_that_others_may_read_or_change(tmp_path: Path, authority: Authority, mode: int) -> None:
    problem = told(tmp_path, authority.issue(), mode=mode)
    assert problem.key == "tls.private_key"
    assert f"mode {mode:04o}" in problem.message
    assert "chmod 0600" in problem.cure


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_key_that_its_group_may_read(tmp_path: Path, authority: Authority, mode: int) -> None:
    read(tmp_path, authority.issue(), mode=mode)


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue()
    _, key = issued.write(tmp_path, "real", mode=0o644)
    (tmp_path / "link").symlink_to(key)
    assert "0644" in told(tmp_path, issued, private_key=f"file:{tmp_path}/link").message


def test_what_is_no_key(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue()
    wrong = tmp_path / "wrong"
    locked = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    for text, said in (
        (b"nothing", "no private key in PEM"),
        (issued.pem, "no private key in PEM"),
        (locked, "is encrypted"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "has 1024 bits"),
        (pem_of(ec.generate_private_key(ec.SECP521R1())), "secp521r1"),
        (pem_of(dsa.generate_private_key(2048)), "not served"),
        (b"", "empty or absent"),
    ):
        wrong.write_bytes(text)
        wrong.chmod(0o600)
        problem = told(tmp_path, issued, private_key=f"file:{wrong}")
        assert (problem.key, said in problem.message) == ("tls.private_key", True), problem
    assert told(tmp_path, issued, private_key=f"file:{tmp_path}/absent").key == "tls.private_key"


def test_what_is_no_certificate_and_a_chain_out_of_order(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue()
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"nothing")
    assert told(tmp_path, issued, certificate=f"file:{wrong}").key == "tls.certificate"
    wrong.write_bytes(issued.pem + Authority("another").issued.pem)
    assert "number 1" in told(tmp_path, issued, certificate=f"file:{wrong}").message
    wrong.write_bytes(issued.pem + authority.issued.pem)
    assert read(tmp_path, issued, certificate=f"file:{wrong}").chain == wrong.read_bytes()
    old = Authority("old")
    wrong.write_bytes(old.issue(days=-1).pem)
    assert told(tmp_path, issued, client_ca=f"file:{wrong}").key == "tls.client_ca"


def test_a_configuration_tells_it_in_both_languages(tmp_path: Path) -> None:
    yaml, toml = tmp_path / "rco.yaml", tmp_path / "svc.toml"
    yaml.write_text("tls:\n  enabled: true\n  certificate: /etc/cert.pem\n")
    toml.write_text('[tls]\nenabled = true\ncertificate = "/etc/cert.pem"\n')
    for found, first in ((problems(yaml, {}), 2), (problems_interop(toml, {}), 1)):
        assert [(one.key, one.line) for one in found] == [("tls.private_key", first), ("tls.certificate", 3)]
    yaml.write_text("tls:\n  private_key: 'file:/etc/key.pem'\n")
    assert [one.key for one in problems(yaml, {})] == ["tls.private_key"]
    yaml.write_text("tls: {enabled: true, certificate: 'env:A', private_key: 'env:B', min_version: '1.1'}\n")
    assert [one.key for one in problems(yaml, {})] == ["tls.min_version"]
    toml.write_text("")
    assert problems_interop(toml, {"SVC_INTEROP_TLS_ENABLED": "true"})

"""Signatures and secrets: the public library's, several secrets in one header, what no secret is."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from standardwebhooks import Webhook

from rco.errors import ConfigInvalid
from rco.kit.ids import Ids
from rco.model.endpoint import Endpoint
from rco.webhooks.safe import Safe, sealing_key
from rco.webhooks.signing import generated, parse_secret, signature_header


def test_it_signs_as_the_public_library_does():
    signer = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    header = signature_header([signer], "msg_p5jXN8AQM9LWM0D4loKWxEek", 1614265330, b'{"test": 2432232314}')
    # Worked out by standardwebhooks 1.1.0, once.
    assert header == "v1,xm3N4+aKmqpsHqf2GrAK/g6ew7J0s6ILlNe44yY/l78="


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5), st.text(max_size=200))
def test_each_of_several_secrets_verifies(keys, body):
    texts = [generated("v1", key) for key in keys]
    now = datetime.now(UTC)
    stamp = int(now.timestamp())
    header = signature_header(map(parse_secret, texts), "msg_1", stamp, body.encode(errors="replace"))
    for text in texts:
        assert Webhook(text).sign("msg_1", now, body.encode(errors="replace").decode()) in header.split(" ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_AAAA",
        "whsec_!",
        "whsk_" + base64.b64encode(b"x" * 31).decode(),
        "hello" * 20,
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(text):
    with pytest.raises(ConfigInvalid) as problem:
        parse_secret(text)
    assert not text.strip() or len(text) < 8 or text not in str(problem.value)


def endpoint(name: str, namespace: str = "default") -> Endpoint:
    return Endpoint(endpoint_id=name, namespace=namespace, url="", types=(), since_us=0, created_us=0)


def test_a_sealed_secret_opens_for_its_own_endpoint_alone():
    safe = Safe(bytes(32), lambda _: "", Ids())
    secret, text = safe.make("default", "ep_1", "v1", 0)
    own = replace(endpoint("ep_1"), secrets=(secret,))
    [(name, signer)] = safe.signers(own, 0)
    assert (name, signer.sign(b"x")) == (secret.secret_id, parse_secret(text).sign(b"x"))
    for other in (endpoint("ep_2"), endpoint("ep_1", "tenant")):
        with pytest.raises(ConfigInvalid):
            safe.signers(replace(other, secrets=(secret,)), 0)
    with pytest.raises(ConfigInvalid):
        Safe(b"\x01" * 32, lambda _: "", Ids()).signers(own, 0)
    with pytest.raises(ConfigInvalid):
        Safe(None, lambda _: "", Ids()).make("default", "ep_1", "v1", 0)


def test_expired_secrets_do_not_sign():
    safe = Safe(bytes(32), lambda _: "", Ids())
    secret, _ = safe.make("default", "ep_1", "v1a", 0)
    own = replace(endpoint("ep_1"), secrets=(replace(secret, expires_us=10),))
    assert len(safe.signers(own, 9)) == 1
    assert safe.signers(own, 10) == []


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33])
def test_a_key_is_64_digits(text):
    with pytest.raises(ConfigInvalid):
        sealing_key(text)

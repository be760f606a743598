"""Any sender that signs HTTP messages (RFC 9421), with the body by its digest (RFC 9530).

One algorithm, named in the settings: what a request says of its own algorithm only has to agree. The digest of the
body is always among what must be covered, and a time of signing must be there.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from rco.bridge.claim import Claims
from rco.bridge.contract import Headers, ProviderSettings
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, Forming, type_of
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because
from rco.bridge.message_signature import ALGORITHMS, DIGESTS, Place, base_of, check_with, open_key
from rco.bridge.private_keys import ed25519_private
from rco.bridge.public_keys import PublicKey, matching_key
from rco.bridge.rules import header_name, key_of, read_scheme
from rco.bridge.secrets import Opened, open_base64
from rco.bridge.signature import TRACEPARENT, check_id, check_window, encode_base64, gather, trace_of, unauth
from rco.bridge.structured import InnerList, parse_byte_dictionary, parse_inner_lists
from rco.errors import ConfigInvalid
from rco.model.delivery import Delivery

__all__ = ["KIND", "MessageScheme", "Rfc9421"]

FIELD_CAP_BYTES = 4096
_INPUT, _SIGNATURE, _DIGEST = b"signature-input", b"signature", b"content-digest"
_SINGLE = (_INPUT, _SIGNATURE, _DIGEST, TRACEPARENT)


class MessageScheme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a signature must be and cover."""

    algorithm: str
    public_url: str
    """The address that senders call."""
    components: list[str] = msgspec.field(default_factory=lambda: ["@authority"])
    """What must be covered besides ``content-digest``."""
    label: str | None = None
    """Which of several signatures counts; without it there must be exactly one."""
    tag: str | None = None
    id_header: str | None = None
    """A covered header that identifies the delivery."""


def _scheme(settings: ProviderSettings) -> MessageScheme:
    scheme = read_scheme(settings, MessageScheme)
    if scheme.algorithm not in ALGORITHMS:
        raise ConfigInvalid(
            f"{scheme.algorithm!r} is not one of {', '.join(ALGORITHMS)}",
            key=key_of(settings, "scheme", "algorithm"),
        )
    return scheme


def _key_from(settings: ProviderSettings) -> Opened:
    algorithm = _scheme(settings).algorithm
    return lambda text: open_key(algorithm, text)


class Rfc9421:
    """Verifies one sender's HTTP message signatures."""

    __slots__ = (
        "_age_s",
        "_algorithm",
        "_claims",
        "_covered",
        "_field",
        "_forming",
        "_id_header",
        "_keys",
        "_label",
        "_place",
        "_skew_s",
        "_status",
        "_tag",
        "_type",
        "_wanted",
    )

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        scheme = _scheme(settings)
        try:
            self._place = Place(scheme.public_url)
        except ValueError as error:
            raise ConfigInvalid(
                str(error), cure="Write the address that senders call.", key=key_of(settings, "scheme", "public_url")
            ) from None
        self._algorithm, self._label, self._tag = scheme.algorithm, scheme.label, scheme.tag
        self._id_header = None
        if scheme.id_header is not None:
            self._id_header = header_name(scheme.id_header, key_of(settings, "scheme", "id_header"))
        named = [] if self._id_header is None else [self._id_header.decode()]
        self._covered = frozenset((*(name.lower() for name in scheme.components), "content-digest", *named))
        self._wanted = frozenset((*_SINGLE, *(name.encode() for name in named)))
        self._keys = tuple(PublicKey(one, check_with(scheme.algorithm, one.key)) for one in materials.secrets)
        self._claims = Claims(settings.name)
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status, self._type, self._field = settings.bad_signature_status, settings.type, settings.type_field
        self._forming = Forming(settings, f"rfc9421:{scheme.algorithm}", materials.subject, SIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery:
        """See ``Verifier.verify``."""
        status = self._status
        every = list(headers)
        found = gather(every, self._wanted)
        if not all(found.get(name) for name in (_INPUT, _SIGNATURE)):
            raise unauth("sig_missing", status)
        covered, signature, base = self._read(every, found, status)
        created = covered.parameters.get("created")
        if type(created) is not int or not 0 <= created < 10**11:
            raise unauth("ts_malformed", status)
        secret_id = matching_key(self._keys, now_us, base, (signature,), status)
        _check_digest(found.get(_DIGEST, b""), body, status)
        check_window(created * 1_000_000, now_us, self._age_s, self._skew_s)
        expires = covered.parameters.get("expires")
        if expires is not None:
            if type(expires) is not int:
                raise unauth("ts_malformed", status)
            check_window(expires * 1_000_000, now_us, 0.0, 1e12)
        content = body if expand is None else expand(body)
        data = decode_object(content)
        identity = b"" if self._id_header is None else found[self._id_header]
        claim = self._claims.of_id_or_bytes(identity, base)
        return self._forming.delivery(
            data=data,
            body=body,
            payload=content,
            event_id=identity.decode("ascii") or claim.hex(),
            event_type=self._type or type_of(data, self._field),
            time_us=created * 1_000_000,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )

    def _read(
        self, every: list[tuple[bytes, bytes]], found: dict[bytes, bytes], status: int
    ) -> tuple[InnerList, bytes, bytes]:
        """The one signature that counts: what it covers, its bytes, and the base that it must be over."""
        if len(found[_INPUT]) > FIELD_CAP_BYTES or len(found[_SIGNATURE]) > FIELD_CAP_BYTES:
            raise unauth("sig_malformed", status)
        try:
            inputs, signatures = parse_inner_lists(found[_INPUT]), parse_byte_dictionary(found[_SIGNATURE])
            label = self._label or next(iter(inputs))
            covered, signature = inputs.get(label), signatures.get(label)
            if covered is None or signature is None or (self._label is None and len(inputs) > 1):
                raise ValueError("the signature that counts is not there")
            if self._tag is not None and covered.parameters.get("tag") != self._tag:
                raise ValueError("it has another tag")
            if covered.parameters.get("alg", self._algorithm) != self._algorithm:
                raise ValueError("it has another algorithm")
            if not self._covered <= {item.name for item in covered.items}:
                raise ValueError("it does not cover what it must")
            by_name: dict[str, list[bytes]] = {}
            for name, value in every:
                by_name.setdefault(name.decode("latin-1"), []).append(value)
            base = base_of(self._place, by_name, covered)
        except ValueError:
            raise unauth("sig_malformed", status) from None
        if self._id_header is not None:
            check_id(found.get(self._id_header, b""), b"", status)
        return covered, signature, base


def _check_digest(field: bytes, body: bytes, status: int) -> None:
    """Every digest that is known must be the body's, and there must be one."""
    try:
        digests = parse_byte_dictionary(field)
    except ValueError:
        raise unauth("sig_malformed", status) from None
    known = {name: digests[name] for name in DIGESTS if name in digests}
    if not known:
        raise unauth("sig_malformed", status)
    for name, value in known.items():
        if not hmac.compare_digest(hashlib.new(DIGESTS[name], body).digest(), value):
            raise unauth("sig_mismatch", status)


def sign(signing: Signing) -> Signed:
    """Headers of a signed request, for ``hmac-sha256`` and ``ed25519``. ``options``: ``label``, ``parameters`` (text
    behind ``created``), ``headers`` (more that are covered)."""
    scheme = _scheme(signing.settings)
    digest = "sha-256=:" + encode_base64(hashlib.sha256(signing.body).digest()).decode() + ":"
    more: dict[str, str] = signing.options.get("headers", {})
    names = ["content-digest", *scheme.components, *(name.lower() for name in more)]
    created = signing.at_us // 1_000_000
    covered = "(" + " ".join(f'"{name}"' for name in names) + f");created={created}"
    covered += str(signing.options.get("parameters", ""))
    label = str(signing.options.get("label", scheme.label or "sig1"))
    parsed = parse_inner_lists(f"{label}={covered}".encode())[label]
    fields = {"content-digest": [digest.encode()], **{name.lower(): [value.encode()] for name, value in more.items()}}
    base = base_of(Place(scheme.public_url), fields, parsed)
    if scheme.algorithm == "hmac-sha256":
        raw = hmac.digest(open_base64(signing.secret.encode()), base, "sha256")
    else:
        raw = ed25519_private(signing.secret).sign(base)
    headers = [
        ("Content-Digest", digest),
        *more.items(),
        ("Signature-Input", f"{label}={covered}"),
        ("Signature", f"{label}=:{encode_base64(raw).decode()}:"),
    ]
    return headers, signing.body


KIND = Kind(
    name="rfc9421",
    about=About(
        title="HTTP message signatures",
        url="https://www.rfc-editor.org/rfc/rfc9421",
        headers=("Signature-Input", "Signature", "Content-Digest"),
        signed="the covered components, `content-digest` always among them",
        algorithm=", ".join(ALGORITHMS),
        credential="base64 of the shared key, or the public key in PEM or in base64 of its DER",
        type="the body's `type_field`, or a fixed `type`",
        dedupe="the covered `id_header`, else everything that is signed; for 7 days",
        time="`created`, which must be there, and `expires`",
        example="""\
partner:
  kind: rfc9421
  secrets: [{secret_id: partner-2026, ref: "file:/run/secrets/partner.pub.pem"}]
  scheme:
    algorithm: ed25519
    public_url: https://hooks.example.com/webhooks/partner
    components: ["@method", "@target-uri"]
""",
        scheme=(
            ("algorithm", "the one that counts"),
            ("public_url", "the address that senders call; the derived components come from it"),
            ("components", 'what must be covered besides `content-digest`; default `["@authority"]`'),
            ("label", "which of several signatures counts; without it there must be exactly one"),
            ("tag", "the tag that it must have"),
            ("id_header", "a header, then covered, that identifies the delivery"),
        ),
        traps=(
            "A signature covers what it says and nothing else: without `content-digest` it says nothing of the body.",
            "Method, address and query come from `public_url`, never from the request.",
            "Component parameters other than `name` of `@query-param` are refused.",
        ),
    ),
    build=Rfc9421,
    whole=because("the type and the identity stand in the body, and its digest is signed in a header before it"),
    key_from=_key_from,
    sign=sign,
)

import pytest

from rco.egress.credentials import SecretMissing, check_reference, header_value, secrets_of
from rco.egress.outgoing import NotSendable, body_of, check_headers, endpoint_of, path_of
from rco.model.target import CallRequest, Credential, Rule, Target


def target(**changes) -> Target:
    return Target(name="t", base_url="https://api.example", allow=[Rule(["GET"], "/**")], **changes)


@pytest.mark.parametrize(
    ("base_url", "prefix", "port"),
    [
        ("https://api.example", "https://api.example", 443),
        ("http://api.example:8080/v1/", "http://api.example:8080/v1", 8080),
        ("https://[2606:4700::1]:444", "https://[2606:4700::1]:444", 444),
    ],
)
def test_a_base_url_is_taken_apart(base_url: str, prefix: str, port: int) -> None:
    endpoint = endpoint_of(base_url)
    assert (endpoint.origin + endpoint.path, endpoint.port) == (prefix, port)


@pytest.mark.parametrize(
    "base_url",
    [
        *("ftp://h", "h", "//h", "http://", "http:///x", "http://u:p@h", "http://u@h", "http://h?x=1", "http://h?"),
        *(
            "http://h#x",
            "http://h.example.",
            "http://h:99999",
            "http://h/a/../b",
            "http://h/a//b",
            "http://[fe80::1%25eth0]",
        ),
        *("http://127。0。0。1", "http://h\\@evil", "http://h%2eexample", "file:///etc/passwd", "http://h h"),
    ],
)
def test_a_base_url_that_could_mean_another_host_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        endpoint_of(base_url)


def test_a_query_is_encoded() -> None:
    request = CallRequest(target="t", method="GET", path="/a", query={"q": "a b&c=d/é", "e": ""})
    assert path_of(endpoint_of("http://h/v1"), request) == "/v1/a?q=a%20b%26c%3Dd%2F%C3%A9&e="


@pytest.mark.parametrize("query", [{"q": "x" * 9000}, {"q": "\ud800"}])
def test_a_query_is_bounded_text(query) -> None:
    with pytest.raises(NotSendable):
        path_of(endpoint_of("http://h"), CallRequest(target="t", method="GET", path="/a", query=query))


def test_a_body_is_the_same_bytes_whatever_the_order() -> None:
    one = body_of(CallRequest(target="t", method="POST", path="/", json={"b": 1, "a": 2}), 100)
    two = body_of(CallRequest(target="t", method="POST", path="/", json={"a": 2, "b": 1}), 100)
    assert one == two == b'{"a":2,"b":1}'
    assert body_of(CallRequest(target="t", method="POST", path="/"), 100) is None


@pytest.mark.parametrize(
    ("json", "reason"), [({"x": float("nan")}, "body"), ({"x": object()}, "body"), ("x" * 99, "body_too_large")]
)
def test_a_body_without_json_form_is_refused(json, reason) -> None:
    with pytest.raises(NotSendable) as caught:
        body_of(CallRequest(target="t", method="POST", path="/", json=json), 100)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "connection", "Transfer-Encoding", "TE", "Upgrade", "Content-Length", "Proxy-Authorization"),
        *("Expect", "traceparent", "X-Corr-ID", "Idempotency-Key", "idempotency-key", "Accept-Encoding"),
    ],
)
def test_some_headers_are_not_the_callers(name: str) -> None:
    with pytest.raises(NotSendable) as caught:
        check_headers({name: "x"}, target())
    assert caught.value.reason == "header_reserved"


def test_authorization_is_the_callers_only_where_there_is_no_credential() -> None:
    check_headers({"Authorization": "Basic x", "X-Key": "y"}, target())
    for name in ("authorization", "X-KEY"):
        with pytest.raises(NotSendable):
            check_headers({name: "x"}, target(credential=Credential(secret="env:K", header="X-Key")))


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nHost: evil"},
        {"X": "a\n"},
        {"X Y": "1"},
        {"": "1"},
        {"X:": "1"},
        {"X": "é"},
        {"X": "a" * 9000},
        {f"X{n}": "" for n in range(65)},
    ],
)
def test_headers_are_bounded_and_clean(headers) -> None:
    with pytest.raises(NotSendable) as caught:
        check_headers(headers, target())
    assert caught.value.reason == "headers"


def test_secrets_come_from_the_environment_or_a_file(tmp_path) -> None:
    file = tmp_path / "secret"
    file.write_text("from-file\n")
    resolve = secrets_of({"K": "from-env"})
    assert header_value(Credential(secret="env:K"), resolve) == ("Bearer from-env", "from-env")
    plain = Credential(secret=f"file:{file}", header="X-Key", scheme="")
    assert header_value(plain, resolve) == ("from-file", "from-file")
    file.write_text("rotated\n")
    assert header_value(plain, resolve)[1] == "rotated"


@pytest.mark.parametrize("value", ["", " ", "two\nlines", "nul\x00", "sécret", "x" * 20000, " padded"])
def test_a_secret_that_no_header_can_carry_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(SecretMissing) as caught:
        header_value(Credential(secret="env:K"), secrets_of({"K": value}))
    assert "env:K" in str(caught.value)
    assert not value.strip() or value not in str(caught.value)


def test_a_missing_secret_is_named_with_its_cure(tmp_path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"hidden\xff\xfe")
    for reference in ("env:NOT_THERE", "file:/not/there", f"file:{binary}"):
        with pytest.raises(SecretMissing, match="set the variable or mount the file") as caught:
            header_value(Credential(secret=reference), secrets_of({}))
        assert caught.value.__cause__ is None
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("reference", ["hunter2", "env:", "env:A-B", "file:relative", "vault:x", "env:A\n"])
def test_a_reference_that_is_none_is_refused_without_being_repeated(reference: str) -> None:
    with pytest.raises(ValueError, match="not a reference") as caught:
        check_reference(reference)
    assert "hunter2" not in str(caught.value)

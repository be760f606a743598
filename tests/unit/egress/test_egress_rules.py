import pytest

from rco.egress.rules import Rules
from rco.model.path import PATH_LIMIT, PathRefused, path_segments
from rco.model.target import Rule

RULES = Rules(
    [
        Rule(["GET"], "/orders/*"),
        Rule(["POST"], "/orders"),
        Rule(["GET", "DELETE"], "/files/**"),
        Rule(["GET"], "/v1/*/items/*"),
        Rule(["GET"], "/name with%20space"[:5] + "/caf%C3%A9"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/orders/17", "/orders/*"),
        ("GET", "/orders/a.b-c_~!$&'()*+,;=:@", "/orders/*"),
        ("POST", "/orders", "/orders"),
        ("GET", "/files/", "/files/**"),
        ("DELETE", "/files/a/b/c/", "/files/**"),
        ("GET", "/v1/x/items/y", "/v1/*/items/*"),
        ("GET", "/orders/a%20b", "/orders/*"),
        ("GET", "/orders/%C3%A9", "/orders/*"),
        ("GET", "/orders/...", "/orders/*"),
        ("GET", "/orders/50%25", "/orders/*"),
        ("GET", "/%6Frders/17", "/orders/*"),
        ("GET", "/name/caf%c3%a9", "/name/caf%C3%A9"),
        ("POST", "/orders/17", None),
        ("PUT", "/orders", None),
        ("get", "/orders/17", None),
        ("GET", "/orders/", None),
        ("GET", "/orders/17/", None),
        ("GET", "/orders/17/lines", None),
        ("GET", "/Orders/17", None),
        ("GET", "/files", None),
        ("GET", "/filesystem/a", None),
        ("GET", "/", None),
        ("GET", "/v1/x/items/", None),
    ],
)
def test_a_rule_allows_what_it_says(method: str, path: str, template: str | None) -> None:
    assert RULES.match(method, path) == template


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "path_not_absolute"),
        ("orders", "path_not_absolute"),
        ("http://evil.example/orders", "path_not_absolute"),
        ("https:/orders", "path_not_absolute"),
        ("//evil.example/orders", "path_double_slash"),
        ("/orders//17", "path_double_slash"),
        ("/orders/17?admin=1", "query_in_path"),
        ("/orders/17#x", "query_in_path"),
        ("/orders/..", "path_dots"),
        ("/orders/../admin", "path_dots"),
        ("/orders/.", "path_dots"),
        ("/./orders", "path_dots"),
        ("/orders/%2e%2e/admin", "path_dots"),
        ("/orders/.%2E/admin", "path_dots"),
        ("/orders/..;x=1/admin", "path_dots"),
        ("/orders/..;/admin", "path_dots"),
        ("/orders/..%20/admin", "path_dots"),
        ("/orders/%EF%BC%8E%EF%BC%8E/admin", "path_dots"),
        ("/orders/%E2%80%A5/admin", "path_dots"),
        ("/orders/%252e%252e/admin", "path_encoded_twice"),
        ("/orders/%252f", "path_encoded_twice"),
        ("/orders/a%2fb", "path_encoded_slash"),
        ("/orders/a%2Fb", "path_encoded_slash"),
        ("/orders/a%5cb", "path_encoded_slash"),
        ("/orders/%EF%BC%8Fadmin", "path_encoded_slash"),
        ("/orders/\\..\\admin", "path_characters"),
        ("/orders/a b", "path_characters"),
        ("/orders/a\r\nHost: evil", "path_characters"),
        ("/orders/a\n", "path_characters"),
        ("/orders/\x00", "path_characters"),
        ("/orders/é", "path_characters"),
        ("/orders/%", "path_characters"),
        ("/orders/%zz", "path_characters"),
        ("/orders/%00", "path_control"),
        ("/orders/%0d%0aX", "path_control"),
        ("/orders/%7f", "path_control"),
        ("/orders/%c0%ae%c0%ae", "path_not_utf8"),
        ("/orders/%ff", "path_not_utf8"),
        ("/orders/<x>", "path_characters"),
        ("/" + "a" * PATH_LIMIT, "path_too_long"),
    ],
)
def test_a_path_that_can_be_read_twice_is_refused(path: str, reason: str) -> None:
    with pytest.raises(PathRefused) as caught:
        Rules([Rule(["GET"], "/**")]).match("GET", path)
    assert caught.value.reason == reason


def test_segments_are_decoded() -> None:
    assert path_segments("/a/b%20c/") == ("a", "b c", "")
    assert path_segments("/") == ("",)


@pytest.mark.parametrize(
    "rule",
    [Rule(["GET"], "/a*"), Rule(["GET"], "a"), Rule(["GET"], "/**/a"), Rule(["get"], "/a"), Rule(["TRACE"], "/a")],
)
def test_a_rule_that_cannot_be_one_is_refused(rule: Rule) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Rules([rule])

"""Expressions see their value and nothing else, end, and say what is wrong with them."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jq
import pytest

from rco.errors import ConfigInvalid, ExpressionFailed
from rco.expr.forbidden import PRELUDE, forbidden_word
from rco.expr.jq import MAX_EXPRESSION_CHARS, Expression

VALUE = {"type": "order.created", "data": {"n": 5, "items": [{"sku": "a"}, {"sku": "b"}], "env": "prod"}}


@pytest.mark.parametrize(
    ("text", "output"),
    [
        (".data.n", 5),
        ('.data.items | map(.sku) | join(",")', "a,b"),
        ('"n is \\(.data.n)"', "n is 5"),
        (".data.absent", None),
        ("empty", None),
        (".data.items[].sku", "a"),
        ("[..] | length", 10),
        (".data.env", "prod"),
        ("{env: .data.env}", {"env": "prod"}),
        ('{"input": 1} | .input', 1),
        (". as $input | $input.data.n", 5),
        ("# a comment\n.data.n", 5),
        ('.data.absent // "none"', "none"),
        ('"a comment # is not in a string (env)"', "a comment # is not in a string (env)"),
    ],
)
def test_first_output(text: str, output: object) -> None:
    assert Expression.compile(text).first(VALUE) == output


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("true", True),
        ("false", False),
        ("null", False),
        ("empty", False),
        ("0", True),
        ('""', True),
        ("[]", True),
        ("false, true", False),
        (".data.n == 5", True),
    ],
)
def test_truth_is_jqs(text: str, truth: bool) -> None:
    assert Expression.compile(text).truthy(VALUE) is truth


def test_json_text_is_taken_as_it_is() -> None:
    assert Expression.compile(".a").first_json('{"a": 7}') == 7
    assert Expression.compile(".a").truthy_json('{"a": 7}')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (".a |", "line 1, column 4"),
        ("\n.a | | 2", "line 2, column 6"),
        ("nothing_of_this_name", "line 1, column 1"),
        ("{a:}", "line 1, column 4"),
        (".a\x00 | env", "control character, at line 1, column 3"),
        ("", "0 characters"),
        (" \n", "2 characters"),
        ("." * (MAX_EXPRESSION_CHARS + 1), "4097 characters"),
        ('"\ud800"', "not an expression"),
        ("| .a", "line 1, column 1"),
    ],
)
def test_what_does_not_compile_is_named_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Expression.compile(text)
    assert says in str(caught.value)
    assert caught.value.cure


FORBIDDEN = [
    "env", "env.HOME", "$ENV", "$ENV.HOME", "{$ENV}", "input", "[inputs]", "debug", 'debug("x")', "stderr",
    "input_filename", "input_line_number", "halt", "halt_error", "halt_error(1)", "now", "localtime",
    'strflocaltime("%Y")',
    "get_search_list", "modulemeta", "first(repeat(1))", "[while(. < 3; . + 1)]", "until(. > 3; . + 1)", "range(9)",
    "[range(1; 9)]", "[range(1; 9; 2)]", "first(recurse(1))", "recurse(1; true)", "[combinations]", "[combinations(2)]",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        *FORBIDDEN,
        'import "m" as m; .', 'include "m"; .', "def f: f; f",
        '"\\(env)"', '"a \\("b \\(1) " + env) c"', '@base64 "x\\($ENV)"', '"\\\\\\(env)"', ".data.n, env", "(env)",
        "# a comment\nenv", '# a " quote in a comment\nenv', ".a as $x | env as $y | $y", ".data|=env", "{env}",
    ],
)  # fmt: skip
def test_what_reaches_outside_or_may_never_end_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="may not be used"):
        Expression.compile(text)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_the_second_fence_holds_where_the_first_is_open(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the check of the text taken away, jq itself finds the names bound to an error, and the environment null."""
    monkeypatch.setenv("RCO_TEST_CANARY", "canary")
    answers = jq.compile(PRELUDE + text).input_text("3")
    if "$ENV" in text:
        assert list(answers) in ([None], [{"ENV": None}])
    else:
        with pytest.raises(ValueError, match="is not available"):
            next(iter(answers))


def test_the_environment_is_not_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """jq by itself does read it, so this can fail; every accepted way of asking gives nothing."""
    monkeypatch.setenv("RCO_TEST_CANARY", "canary-7f3a")
    assert jq.compile("env.RCO_TEST_CANARY").input_text("1").first() == "canary-7f3a"
    assert os.environ["RCO_TEST_CANARY"] == "canary-7f3a"
    everything = [
        'getpath(["env"])',
        '.["env"]',
        ".env",
        '"env"',
        "[..]",
        "builtins",
        "$__loc__",
        "{env: 1}",
        "[paths]",
    ]
    for text in everything:
        assert "canary-7f3a" not in repr(Expression.compile(text).first({"x": 1})), text
    for text in ("env", "$ENV", '"\\(env)"', "{$ENV}"):
        with pytest.raises(ConfigInvalid):
            Expression.compile(text)


def test_nothing_is_written_and_nothing_ends_the_process() -> None:
    """In a process of its own, behind the first fence."""
    code = (
        "import jq\nfrom rco.expr.forbidden import PRELUDE\n"
        "for text in ('debug', 'stderr', 'debug(\"x\")', 'halt', 'halt_error', 'input_filename'):\n"
        "    try: jq.compile(PRELUDE + text).input_text('\"leak\"').first()\n"
        "    except ValueError: pass\n"
        "print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("alive\n", "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (".type.x", "Cannot index string with string"),
        (".data.n[]", "Cannot iterate over number"),
        (".type + 1", "string and number cannot be added"),
        (".type | tonumber", "string cannot be parsed as a number"),
        ('error("it is \\(.type)")', "it raised an error"),
        ('error("Cannot index \\(.type) with \\(.type)")', "it raised an error"),
        ("error(null)", ""),
        ('.type | test("(")', "Regex failure"),
    ],
)
def test_a_failure_names_the_expression_and_never_the_value(text: str, says: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        Expression.compile(text).first(VALUE)
    assert says in str(caught.value)
    assert repr(text)[:20] in str(caught.value)
    assert "order.created" not in str(caught.value)


@pytest.mark.parametrize("value", [object(), {1, object()}, "\ud800"])
def test_a_value_without_json_form_is_refused(value: object) -> None:
    with pytest.raises(ExpressionFailed, match="no JSON form"):
        Expression.compile(".").first(value)


def test_a_deep_value_fails_and_does_not_crash() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ExpressionFailed):
        Expression.compile("length").first(deep)
    with pytest.raises(ExpressionFailed):
        Expression.compile(".").first_json("[" * 20_000 + "]" * 20_000)


def test_a_backtracking_pattern_ends() -> None:
    with pytest.raises(ExpressionFailed, match="Regex failure"):
        Expression.compile('test("^(a+)+$")').first("a" * 40 + "b")


def test_it_is_compiled_once() -> None:
    assert Expression.compile(".data.n") is Expression.compile(".data.n")


def test_threads_do_not_disturb_each_other() -> None:
    expression = Expression.compile(".n * 2")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda n: expression.first({"n": n}), range(200))) == [n * 2 for n in range(200)]


def test_where_a_forbidden_word_stands() -> None:
    found = forbidden_word('"env \\(.a) env" | .env | {env: 1} | env')
    assert found is not None
    assert (found.word, found.at) == ("env", 36)
    assert forbidden_word('"env \\(.a) env" | .env | {env: 1}') is None

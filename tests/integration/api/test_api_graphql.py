"""/graphql as a client sees it, on the whole service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
import pytest_asyncio
from tests.integration.api.conftest import Served, looking, serving

from rco.kit.ids import id_bytes
from rco.model.wire import State
from rco.server.graphql.options import GraphqlOptions
from rco.server.graphql.schema import sdl
from rco.server.graphql.types import RunState

SDL = Path(__file__).parents[3] / "docs/reference/schema.graphql"
BOTH = "application/graphql-response+json, application/json;q=0.9"


@pytest.fixture
async def graph(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, graphql=GraphqlOptions(enabled=True, mutations="principals")) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_graph(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One for all tests that only look, or ask for what is refused."""
    options = GraphqlOptions(enabled=True, mutations="principals")
    async with serving(tmp_path_factory.mktemp("shared"), graphql=options) as served:
        yield served


async def ask(
    served: Served, query: Any, *, token: str | None = "admin", accept: str = BOTH, **variables: Any
) -> tuple[int, Any]:
    body = query if isinstance(query, (list, dict)) else {"query": query, "variables": variables}
    status, _, answer = await served.call("POST", "/graphql", json=body, token=token, headers={"Accept": accept})
    return status, json.loads(answer)


async def data(served: Served, query: str, *, token: str = "admin", **variables: Any) -> Any:
    status, told = await ask(served, query, token=token, **variables)
    assert (status, told.get("errors")) == (200, None), told
    return told["data"]


def test_the_text_of_the_schema_is_that_of_the_code() -> None:
    again = "python -m rco.server.graphql.schema > docs/reference/schema.graphql"
    assert SDL.read_text() == sdl(), again


def test_the_graph_knows_every_state_of_a_run() -> None:
    assert {one.value for one in RunState} == set(get_args(State))


# -- reading -----------------------------------------------------------------------------------------------------------


async def test_runs_in_pages(graph: Served) -> None:
    ids = [(await graph.operator.start("greet", number)).id for number in range(5)]
    await asyncio.gather(*(graph.operator.wait(run) for run in ids))
    query = """query ($after: String) { runs(first: 2, after: $after, workflow: "greet") {
      nodes { id state result openedAt closedAt parent { id } } pageInfo { hasNextPage endCursor } } }"""
    seen: list[Any] = []
    after = None
    for _ in range(3):
        page = (await data(graph, query, token="viewer", after=after))["runs"]
        seen += page["nodes"]
        after = page["pageInfo"]["endCursor"]
    assert not page["pageInfo"]["hasNextPage"]
    assert [one["id"] for one in seen] == sorted(ids, reverse=True)
    assert {one["state"] for one in seen} == {"COMPLETED"}
    assert sorted(one["result"]["hello"] for one in seen) == [0, 1, 2, 3, 4]
    one = await data(graph, "query ($id: ID!) { run(id: $id) { timeline { kind key outcome } error } }", id=ids[0])
    assert [step["kind"] for step in one["run"]["timeline"]][-1] == "close"
    assert await data(graph, "{ runs(state: FAILED) { nodes { id } } }") == {"runs": {"nodes": []}}


async def test_events_and_their_data(graph: Served) -> None:
    run = (await graph.operator.start("sell", "e-1")).id
    await graph.operator.wait(run)
    found = await data(graph, '{ events(type: "order.created") { nodes { id subject source } } }', token="viewer")
    assert [one["id"] for one in found["events"]["nodes"]] == ["e-1"]
    assert (await data(graph, '{ event(id: "e-1") { data } }', token="operator"))["event"]["data"] == {"n": 1}
    status, told = await ask(graph, '{ event(id: "e-1") { id data } }', token="viewer")
    assert (status, told["data"]) == (200, {"event": {"id": "e-1", "data": None}})
    assert told["errors"][0]["extensions"]["reason"] == "SCOPE_MISMATCH"


async def test_decisions_are_for_administrators(graph: Served) -> None:
    run = (await graph.operator.start("greet", 1)).id
    await graph.operator.wait(run)
    query = """query ($run: String, $after: String) { decisions(first: 1, runId: $run, after: $after) {
      nodes { verb actor run { id state } link } pageInfo { hasNextPage endCursor } } }"""
    verbs: list[str] = []
    after, more = None, True
    while more:
        page = (await data(graph, query, run=run, after=after))["decisions"]
        verbs += [one["verb"] for one in page["nodes"]]
        assert all(one["run"] == {"id": run, "state": "COMPLETED"} for one in page["nodes"])
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert verbs == ["CLOSE", "START"]
    assert (await data(graph, "{ decisions(verb: START, allow: false) { nodes { verb } } }"))["decisions"][
        "nodes"
    ] == []
    _, told = await ask(graph, "{ decisions { nodes { verb } } }", token="operator")
    assert told["errors"][0]["extensions"]["reason"] == "SCOPE_MISMATCH"


async def test_runs_of_a_level_are_read_at_once(graph: Served) -> None:
    ids = [(await graph.operator.start("greet", number)).id for number in range(8)]
    await asyncio.gather(*(graph.operator.wait(run) for run in ids))
    reader = graph.service._desk.reader
    asked: list[Any] = []
    read = reader.runs

    async def counted(where: Any) -> Any:
        asked.append(where.ids)
        return await read(where)

    reader.runs = counted  # type: ignore[method-assign]
    try:
        found = await data(graph, "{ decisions(verb: CLOSE, first: 8) { nodes { run { id } } } }")
    finally:
        del reader.runs  # type: ignore[method-assign]
    assert {one["run"]["id"] for one in found["decisions"]["nodes"]} == set(ids)
    assert [set(one) for one in asked] == [{id_bytes(run) for run in ids}]


# -- changing ----------------------------------------------------------------------------------------------------------


async def test_an_operator_may_change_where_that_is_allowed(graph: Served) -> None:
    start = 'mutation { startRun(workflow: "ask", input: {a: 1}, key: "k") { id created } }'
    first, again = await data(graph, start, token="operator"), await data(graph, start, token="operator")
    assert (first["startRun"]["created"], again["startRun"]["created"]) == (True, False)
    run = first["startRun"]["id"]
    signal = 'mutation ($run: ID!) { signalRun(runId: $run, name: "answer", value: [1], messageId: "m") { accepted } }'
    assert await data(graph, signal, run=run) == {"signalRun": {"accepted": True}}
    assert (await graph.operator.wait(run)).result == [1]
    other = (await data(graph, 'mutation { startRun(workflow: "ask") { id } }'))["startRun"]["id"]
    cancel = 'mutation ($run: ID!) { cancelRun(runId: $run, reason: "no") { accepted } }'
    assert await data(graph, cancel, run=other) == {"cancelRun": {"accepted": True}}
    assert (await graph.operator.wait(other)).state == "cancelled"
    _, told = await ask(graph, start, token="viewer")
    assert told["errors"][0]["extensions"]["reason"] == "SCOPE_MISMATCH"


async def test_a_drained_service_still_reads(graph: Served) -> None:
    run = (await graph.operator.start("ask", 1)).id
    graph.service._ingress.drain()
    _, told = await ask(graph, 'mutation { startRun(workflow: "ask") { id } }')
    assert told["errors"][0]["extensions"]["reason"] == "BACKPRESSURE"
    assert (await data(graph, "{ runs { nodes { id } } }"))["runs"]["nodes"] == [{"id": run}]


async def test_a_brownout_refuses_mutations_and_lets_queries_through(graph: Served) -> None:
    run = (await graph.operator.start("ask", 1)).id
    sentinel, now_s = graph.service._ingress._sentinel, graph.service._clock.monotonic()
    sentinel.lets_through(now_s + 1.0)
    for _ in range(200):
        sentinel.answered(now_s, True)
    assert sentinel.look(now_s).active
    sentinel._probe_s = now_s + 1000
    _, told = await ask(graph, 'mutation { startRun(workflow: "ask") { id } }')
    told["errors"][0]["extensions"].pop("corr_id")
    assert told["errors"][0]["extensions"].pop("retry_after") >= 1
    assert told["errors"][0]["extensions"] == {"reason": "BACKPRESSURE"}
    assert (await data(graph, "{ runs { nodes { id } } }"))["runs"]["nodes"] == [{"id": run}]


@pytest.mark.parametrize("mutations", ["capability", "off"])
async def test_without_a_capability_nothing_changes(tmp_path: Path, mutations: Any) -> None:
    async with serving(tmp_path, graphql=GraphqlOptions(enabled=True, mutations=mutations)) as served:
        for query in ('startRun(workflow: "ask") { id }', f'cancelRun(runId: "{"0" * 32}") {{ accepted }}'):
            status, told = await ask(served, f"mutation {{ {query} }}")
            assert (status, told["data"]) == (200, None)
            assert told["errors"][0]["extensions"]["reason"] == "SCOPE_MISMATCH"
        assert (await data(served, "{ runs { nodes { id } } }"))["runs"]["nodes"] == []


# -- limits ------------------------------------------------------------------------------------------------------------

DEEP = "{ decisions { nodes { run { parent { parent { parent { parent { parent { parent { parent { id }}}}}}}}}}}"
DOUBLING = (
    "{ runs { nodes { ...f0 } } }"
    + "".join(f"fragment f{n} on Run {{ ...f{n + 1} ...f{n + 1} }}" for n in range(60))
    + "fragment f60 on Run { a: id }"
)
ALIASES = "{" + " ".join(f'a{n}: run(id: "x") {{ id }}' for n in range(16)) + "}"
IN_FRAGMENT = "{ runs { nodes { " + "...f " * 16 + "} } } fragment f on Run { a: id }"


@looking
@pytest.mark.parametrize(
    ("query", "says"),
    [
        (DEEP, "nests 11 deep; 10 is the limit"),
        (ALIASES, "16 aliases; 15 is the limit"),
        (IN_FRAGMENT, "16 aliases; 15 is the limit"),
        (DOUBLING, "aliases; 15 is the limit"),
        ("{ " + "runs { nodes { id } } " * 200 + "}", "1000 tokens"),
        ("{ runs { nodes { ...f } } } fragment f on Run { parent { ...f } }", "Cannot spread fragment"),
        ("{ runs { nodes { ...none } } }", "Unknown fragment"),
        ("{ runs(first: 101) { nodes { id } } }", "give 1 to 100"),
        ("{ runs(first: 0) { nodes { id } } }", "give 1 to 100"),
        (
            "{" + " ".join(f"a{n}: runs(first: 100) {{ nodes {{ id }} }}" for n in range(11)) + "}",
            "more than 1000 things",
        ),
        ('{ runs(after: "???") { nodes { id } } }', "not the cursor of a page"),
        ('{ runs(after: "YWJj") { nodes { id } } }', "not the text of a UUID"),
        ('{ events(after: "YWJj") { nodes { id } } }', "not the next of a page"),
        ('{ decisions(after: "YWJj") { nodes { verb } } }', "not the end of a page"),
        ("{" * 400, "Syntax Error"),
        ("{ runs { nodes { id } }", "Syntax Error"),
        ("query A { runs { nodes { id } } } query B { runs { nodes { id } } }", "operation"),
        ("subscription { runs { nodes { id } } }", ""),
        ('{ object(address: "b3:1") { address } }', "64 hexadecimal digits"),
    ],
)
async def test_what_is_too_much_is_refused(shared_graph: Served, query: str, says: str) -> None:
    status, told = await ask(shared_graph, query)
    assert status in (200, 400)
    if "errors" in told:
        assert says in told["errors"][0]["message"]
        assert told["errors"][0]["extensions"]["reason"] == "MALFORMED"
        assert told["errors"][0]["extensions"]["corr_id"]
    else:
        assert (status, told["reason"]) == (400, "MALFORMED")
        assert says in told["error"]


@looking
async def test_a_batch_is_bounded_and_shares_its_budget(shared_graph: Served) -> None:
    one = {"query": "{ runs(first: 100) { nodes { id } } }"}
    status, told = await ask(shared_graph, [one] * 5)
    assert (status, [list(part) for part in told]) == (200, [["data"]] * 5)
    status, told = await ask(shared_graph, [one] * 6)
    assert (status, told["reason"], "5 is the limit" in told["error"]) == (400, "MALFORMED", True)
    greedy = {"query": "{" + " ".join(f"a{n}: runs(first: 100) {{ nodes {{ id }} }}" for n in range(6)) + "}"}
    _, told = await ask(shared_graph, [greedy, greedy])
    assert "errors" not in told[0]
    assert "more than 1000 things" in told[1]["errors"][0]["message"]
    assert (await ask(shared_graph, []))[0] == 400


async def test_an_answer_is_bounded(tmp_path: Path) -> None:
    async with serving(tmp_path, graphql=GraphqlOptions(enabled=True, answer_limit_bytes=2048)) as served:
        run = (await served.operator.start("greet", "x" * 4000)).id
        await served.operator.wait(run)
        status, told = await ask(served, "{ runs { nodes { result } } }")
        assert (status, told["reason"]) == (400, "MALFORMED")
        assert "over 2048 bytes" in told["error"]


async def test_the_schema_is_shown_only_where_that_is_allowed(tmp_path: Path, graph: Served) -> None:
    for query in ("{ __schema { types { name } } }", '{ __type(name: "Run") { name } }'):
        status, told = await ask(graph, query)
        assert status == 400
        assert "data" not in told
    async with serving(tmp_path / "open", graphql=GraphqlOptions(enabled=True, introspection=True)) as served:
        names = {one["name"] for one in (await data(served, "{ __schema { types { name } } }"))["__schema"]["types"]}
        assert {"Run", "Event", "Content", "Decision"} <= names
        _, told = await ask(served, "{ rums { id } }")
        assert "Did you mean 'runs'" in told["errors"][0]["message"]


@looking
@pytest.mark.parametrize(
    "query",
    [
        "{ rums { id } }",
        "{ runs { nodes { idd } } }",
        "{ runs(frist: 1) { nodes { id } } }",
        "{ runs(state: COMPLETE) { nodes { id } } }",
        "query ($a: Rum) { runs { nodes { id } } }",
        "{ runs { nodes { ... on Rum { id } } } }",
        "mutation { startRum { id } }",
        "{ runs @skp(if: true) { nodes { id } } }",
    ],
)
async def test_a_mistake_teaches_no_names(shared_graph: Served, query: str) -> None:
    status, told = await ask(shared_graph, query)
    assert status == 400
    for error in told["errors"]:
        assert "Did you mean" not in error["message"]


@looking
async def test_a_variable_of_no_enum_teaches_none(shared_graph: Served) -> None:
    _, told = await ask(shared_graph, "query ($s: RunState) { runs(state: $s) { nodes { id } } }", s="COMPLETE")
    assert "Did you mean" not in told["errors"][0]["message"]


# -- over HTTP ---------------------------------------------------------------------------------------------------------


@looking
async def test_without_a_token_nothing_is_told(shared_graph: Served) -> None:
    for token in (None, "wrong"):
        status, told = await ask(shared_graph, "{ runs { nodes { id } } }", token=token)
        assert (status, told["reason"], set(told)) == (401, "UNAUTH", {"error", "reason", "corr_id"})


@looking
async def test_get_takes_queries_alone(shared_graph: Served) -> None:
    status, headers, body = await shared_graph.call("GET", "/graphql", params={"query": "{ runs { nodes { id } } }"})
    assert (status, json.loads(body)) == (200, {"data": {"runs": {"nodes": []}}})
    assert headers["Content-Type"] == "application/graphql-response+json; charset=utf-8"
    variables = {"query": "query ($n: Int!) { runs(first: $n) { nodes { id } } }", "variables": '{"n": 1}'}
    assert (await shared_graph.call("GET", "/graphql", params=variables))[0] == 200
    status, headers, body = await shared_graph.call(
        "GET", "/graphql", params={"query": 'mutation { startRun(workflow: "ask") { id } }'}
    )
    assert (status, json.loads(body)["reason"], headers["Allow"]) == (405, "METHOD", "GET, POST")
    for bad in (
        "",
        "?query=",
        "?query=a&query=b",
        "?other=1",
        "?query=%FF",
        "?query={a}&variables=[",
        "?query={a}&variables=[1]",
    ):
        status, _, body = await shared_graph.call("GET", "/graphql" + bad)
        assert (status, json.loads(body)["reason"]) == (400, "MALFORMED"), bad


@looking
@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql", ""],
)
async def test_what_a_browser_sends_unasked_is_refused(shared_graph: Served, kind: str) -> None:
    body = b'{"query": "{ runs { nodes { id } } }"}'
    status, _, told = await shared_graph.call("POST", "/graphql", data=body, headers={"Content-Type": kind})
    assert (status, json.loads(told)["reason"]) == (415, "MEDIA_TYPE")


@looking
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[null]",
        b'{"query": 1}',
        b'{"query": ""}',
        b'{"query": null}',
        b'{"query": "{a}", "variables": []}',
        b'{"query": "{a}", "extra": 1}',
        b'{"query": "{a}", "operationName": 5}',
        b"[" * 5000,
        b'{"query": "\xff"}',
    ],
)
async def test_what_is_no_request_gets_the_envelope(shared_graph: Served, body: bytes) -> None:
    status, _, told = await shared_graph.call(
        "POST", "/graphql", data=body, headers={"Content-Type": "application/json"}
    )
    assert (status, json.loads(told)["reason"]) == (400, "MALFORMED")
    assert set(json.loads(told)) == {"error", "reason", "corr_id"}


@looking
async def test_the_older_media_type_has_200_for_a_bad_query(shared_graph: Served) -> None:
    assert (await ask(shared_graph, "{ nothing }", accept="application/json"))[0] == 200
    assert (await ask(shared_graph, "{ nothing }"))[0] == 400


@looking
async def test_other_paths_and_methods(shared_graph: Served) -> None:
    assert (await shared_graph.call("POST", "/graphql/x", json={"query": "{a}"}))[0] == 404
    assert (await shared_graph.call("PUT", "/graphql", json={"query": "{a}"}))[0] == 405


async def test_what_breaks_inside_says_nothing_of_it(graph: Served) -> None:
    async def broken(_: Any) -> Any:
        raise RuntimeError("the password is hunter2")

    reader = graph.service._desk.reader
    reader.runs = broken  # type: ignore[method-assign]
    try:
        _, told = await ask(graph, "{ runs { nodes { id } } }")
    finally:
        del reader.runs  # type: ignore[method-assign]
    assert "hunter2" not in json.dumps(told)
    assert told["errors"][0]["extensions"]["reason"] == "INTERNAL"


async def test_where_it_is_not_wanted_it_is_not_there(served: Served) -> None:
    assert (await served.call("POST", "/graphql", json={"query": "{a}"}))[0] == 404

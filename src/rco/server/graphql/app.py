"""GraphQL over HTTP (https://graphql.github.io/graphql-over-http): one path, behind the door of the control API.

``POST`` takes JSON, and nothing that a browser sends to another origin without asking; ``GET`` takes queries alone. No
subscriptions, no uploads, no page to try it on. What is no GraphQL request gets the envelope; what is one gets a
GraphQL answer, whose errors say no more than those of ``/v1`` and carry ``reason`` and ``corr_id``.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
import strawberry
from graphql import GraphQLError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from rco.errors import Reason, Refused
from rco.model.wire import Problem
from rco.objects.content import ContentStore
from rco.operations.access import Access
from rco.operations.desk import Desk
from rco.server.api.faults import fault_of
from rco.server.api.guard import Guard
from rco.server.framing import App, Receive, Scope, Send
from rco.server.graphql.context import Context
from rco.server.graphql.options import GraphqlOptions
from rco.server.graphql.schema import build
from rco.telemetry.trace import plain_traceparent

__all__ = ["PATH", "graphql_app"]

PATH = "/graphql"
_GRAPHQL = "application/graphql-response+json"
_JSON = "application/json"
_READ = frozenset({OperationType.QUERY})
_WRITE = frozenset({OperationType.QUERY, OperationType.MUTATION})
_GUESS = re.compile(r" ?Did you mean [^?]*\?")
ERRORS_MAX = 20


class Operation(msgspec.Struct, forbid_unknown_fields=True):
    """One request as GraphQL over HTTP writes it."""

    query: Annotated[str, msgspec.Meta(min_length=1)]
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(default=None, name="operationName")
    extensions: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(Operation | list[Operation]).decode
_decode_variables = msgspec.json.Decoder(dict[str, Any] | None).decode


def graphql_app(
    desk: Callable[[], Desk],
    access: Access,
    *,
    options: GraphqlOptions,
    contents: ContentStore | None,
    admit: Callable[[], None],
    body_limit_bytes: int,
    read_timeout_s: float,
) -> App:
    """The application. Every request needs the bearer token of a principal or a capability, as ``/v1`` does.

    ``admit`` raises ``Refused`` where the service takes no new work: while it drains, or browns out.
    """
    app = _App(desk, options, contents, admit)
    return Guard(app, desk, access, body_limit_bytes=body_limit_bytes, read_timeout_s=read_timeout_s)


class _App:
    def __init__(
        self,
        desk: Callable[[], Desk],
        options: GraphqlOptions,
        contents: ContentStore | None,
        admit: Callable[[], None],
    ) -> None:
        self._desk, self._options, self._contents, self._admit = desk, options, contents, admit
        self._schema: strawberry.Schema = build(options)
        self._guesses = options.introspection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        corr_id = str(scope["corr_id"])
        try:
            if scope["path"] != PATH:
                raise Refused(Reason.NOT_FOUND, "path", "There is nothing here.")
            operations, writes, batched = await self._asked(scope, receive)
            told, refused = await self._answers(scope, operations, writes)
            body = msgspec.json.encode(told if batched else told[0])
            if len(body) > self._options.answer_limit_bytes:
                limit = self._options.answer_limit_bytes
                text = f"The answer is over {limit} bytes. Ask for less."
                raise Refused(Reason.MALFORMED, "graphql_answer", text)
            kind = _kind(scope)
            # What was refused before it ran is a bad request to who knows the newer media type; the older one has 200.
            status = 400 if refused and kind == _GRAPHQL else 200
            await _send(send, status, body, kind)
        except Exception as error:  # noqa: BLE001 - it becomes the envelope, and nothing of an unknown one is shown
            fault = fault_of(error)
            desk = self._desk()
            tell = desk.log.error if fault.status >= 500 else desk.log.warning
            more = {"error": error} if fault.status >= 500 else {}
            tell("graphql.refused", corr_id=corr_id, reason=fault.reason.word, detail=fault.detail, **more)
            body = msgspec.json.encode(Problem(error=fault.message, reason=fault.reason.word, corr_id=corr_id))
            extra = [(b"allow", b"GET, POST")] if fault.status == 405 else []
            if fault.retry_after_s is not None:
                extra.append((b"retry-after", str(max(1, math.ceil(fault.retry_after_s))).encode()))
            await _send(send, fault.status, body, _JSON, extra)

    # -- in --------------------------------------------------------------------------------------------------------

    async def _asked(self, scope: Scope, receive: Receive) -> tuple[list[Operation], bool, bool]:
        """The operations, whether they may write, and whether they came as a list."""
        if scope["method"] == "GET":
            return [_from_query(scope.get("query_string", b""))], False, False
        if scope["method"] != "POST":
            raise Refused(Reason.METHOD, "method", "Use GET for queries, or POST.")
        if _media(_header(scope, b"content-type")) != _JSON:
            raise Refused(Reason.MEDIA_TYPE, "media_type", "Send application/json.")
        message = await receive()
        try:
            asked = _decode(message.get("body", b""))
        except msgspec.ValidationError as problem:
            raise Refused(Reason.MALFORMED, "graphql_request", f"body: {problem}.") from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise Refused(Reason.MALFORMED, "graphql_request", "body: not a GraphQL request.") from None
        if not isinstance(asked, list):
            return [asked], True, False
        if not 1 <= len(asked) <= self._options.batch_limit:
            text = f"{len(asked)} queries in one request; {self._options.batch_limit} is the limit."
            raise Refused(Reason.MALFORMED, "graphql_batch", text)
        return asked, True, True

    # -- out -------------------------------------------------------------------------------------------------------

    async def _answers(
        self, scope: Scope, operations: list[Operation], writes: bool
    ) -> tuple[list[dict[str, Any]], bool]:
        """The answers in order, and whether none of them came to run."""
        desk = self._desk()
        context = Context(
            desk,
            scope["user"],
            corr_id=str(scope["corr_id"]),
            trace=plain_traceparent(_header(scope, b"traceparent")),
            b3=str(scope.get("body_b3", "")),
            options=self._options,
            contents=self._contents,
            admit=self._admit,
        )
        told: list[dict[str, Any]] = []
        ran = False
        try:
            async with asyncio.timeout(self._options.timeout_s):
                for one in operations:
                    result = await self._execute(one, context, writes)
                    ran = ran or _ran(result)
                    told.append(self._told(result, context))
        except TimeoutError:
            text = f"Not answered within {self._options.timeout_s:g} s. Ask for less."
            raise Refused(Reason.TIMEOUT, "graphql_slow", text) from None
        return told, not ran

    async def _execute(self, one: Operation, context: Context, writes: bool) -> ExecutionResult:
        context.operation_name = one.operation_name
        try:
            return await self._schema.execute(
                one.query,
                variable_values=one.variables,
                operation_name=one.operation_name,
                context_value=context,
                allowed_operation_types=_WRITE if writes else _READ,
            )
        except RecursionError:
            raise Refused(Reason.MALFORMED, "graphql_nested", "The query is nested too deeply.") from None
        except Exception as problem:
            # The library raises these for an operation that is not there, or that this method does not allow.
            if type(problem).__name__ in ("InvalidOperationTypeError", "CannotGetOperationTypeError"):
                method = Reason.METHOD if not writes else Reason.MALFORMED
                text = "GET takes queries alone; send mutations by POST." if not writes else "No such operation."
                raise Refused(method, "graphql_operation", text) from None
            raise

    def _told(self, result: ExecutionResult, context: Context) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if result.errors:
            told["errors"] = [self._error(error, context) for error in result.errors[:ERRORS_MAX]]
        if _ran(result):
            told["data"] = result.data
        return told

    def _error(self, error: GraphQLError, context: Context) -> dict[str, Any]:
        """An error of ours says what ``/v1`` would say, one of the query what is wrong with it, any other nothing."""
        wait_s: float | None = None
        inner = error.original_error
        while isinstance(inner, GraphQLError) and inner.original_error is not None:
            inner = inner.original_error
        if inner is None or isinstance(inner, GraphQLError):
            message, reason = error.message[:1000], Reason.MALFORMED
            if not self._guesses:
                message = _GUESS.sub("", message)
        else:
            fault = fault_of(inner)
            message, reason, wait_s = fault.message, fault.reason, fault.retry_after_s
            if fault.status >= 500:
                context.desk.log.error("graphql.failed", corr_id=context.corr_id, code=reason.word, error=inner)
        told: dict[str, Any] = {
            "message": message,
            "extensions": {"reason": reason.word, "corr_id": context.corr_id},
        }
        if wait_s is not None:
            told["extensions"]["retry_after"] = max(1, math.ceil(wait_s))
        if error.locations:
            told["locations"] = [{"line": one.line, "column": one.column} for one in error.locations[:5]]
        if error.path:
            told["path"] = error.path
        return told


def _ran(result: ExecutionResult) -> bool:
    """Whether it was executed, however it went."""
    return result.data is not None or any(error.path for error in result.errors or ())


def _from_query(query: bytes) -> Operation:
    """The operation of a ``GET``. Raises ``Refused`` for parameters that are none, or stand twice."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, strict_parsing=bool(query), max_num_fields=8, errors="strict"
        )
        found = dict(pairs)
        if len(found) != len(pairs) or not found.keys() <= {"query", "variables", "operationName", "extensions"}:
            raise ValueError("a parameter stands twice, or is none of GraphQL's")
        if not found.get("query"):
            raise ValueError("query: is missing")
        return Operation(
            query=found["query"],
            variables=_decode_variables(found["variables"].encode()) if found.get("variables") else None,
            operation_name=found.get("operationName") or None,
        )
    except UnicodeDecodeError:
        raise Refused(Reason.MALFORMED, "graphql_request", "The query string is not UTF-8.") from None
    except (ValueError, RecursionError) as problem:
        raise Refused(Reason.MALFORMED, "graphql_request", f"{problem}.") from None


def _kind(scope: Scope) -> str:
    """The media type to answer in: the older one for who asks for it and not for the newer."""
    accept = _header(scope, b"accept") or ""
    wanted = [_media(part) for part in accept.split(",")]
    return _JSON if _JSON in wanted and _GRAPHQL not in wanted else _GRAPHQL


def _media(text: str | None) -> str:
    return (text or "").partition(";")[0].strip().lower()


def _header(scope: Scope, name: bytes) -> str | None:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else None


async def _send(
    send: Send, status: int, body: bytes, kind: str, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [
        (b"content-type", f"{kind}; charset=utf-8".encode() if kind == _GRAPHQL else kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *(extra or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

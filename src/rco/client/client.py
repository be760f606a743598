"""A client of the control API. One method a route, typed results, the errors of ``rco.errors``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from rco.client.answers import decode, error_of
from rco.client.endpoints import EndpointsClient
from rco.client.namespace_keys import NamespaceKeys
from rco.client.namespaces import NamespacesClient
from rco.client.payloads import PayloadsClient
from rco.client.principals import PrincipalsClient
from rco.client.queues import Queues
from rco.client.retention import RetentionClient
from rco.client.schedules import Schedules
from rco.errors import Unreachable
from rco.model.wire import (
    Accepted,
    CancelAsk,
    ForkRun,
    NodeInfo,
    PauseAsk,
    RunPage,
    RunSelection,
    RunView,
    SettleAsk,
    SignalAsk,
    StartedRun,
    StartRun,
    TerminateAsk,
)
from rco.model.wire_audit import RecentAudit, TailPage
from rco.model.wire_bulk import BulkAsk, BulkPreview, BulkView
from rco.model.wire_capabilities import (
    CapabilityView,
    CheckAsk,
    KeyPage,
    MintAsk,
    Minted,
    RevocationPage,
    RevocationView,
    RevokeAsk,
)
from rco.model.wire_events import (
    DismissAsk,
    EventPage,
    EventView,
    LetterDetail,
    LetterPage,
    LetterView,
    Replayed,
)
from rco.model.wire_targets import CloseAsk, ClosureView, OpenAsk, Opened, TargetPage, TargetView
from rco.model.wire_versions import MoveRuns, MoveView, VersionPage

__all__ = ["ANSWER_BYTES_MAX", "Client"]

T = TypeVar("T")
ANSWER_BYTES_MAX = 64 << 20
WAIT_S = 30.0


class Client:
    """Talks to one service at ``url`` (``http://host:port``) with ``token``; use it as ``async with Client(...) as c``.

    Every method raises ``NotFound``, ``Conflict``, ``Forbidden``, ``Overloaded`` or ``Refused`` as the service says,
    and ``Unreachable`` when there is no answer of it. Nothing is retried here: the caller knows what may be repeated.
    Starts with a ``key``, signals with a ``message_id`` and all reads may be.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        namespace: str | None = None,
        timeout_s: float = 30.0,
        tls: SSLContext | None = None,
    ) -> None:
        """``namespace``: the one to work in, of those the token is bound to; else its own. ``tls``: whom to trust and
        what to show where ``url`` is ``https://``; else what the system trusts."""
        self._url = url.rstrip("/")
        self._token = token
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if namespace:
            self._headers["X-Rco-Namespace"] = namespace
        self._timeout_s, self._tls = timeout_s, tls
        self._session: aiohttp.ClientSession | None = None
        self.schedules = Schedules(self._ask)
        self.queues = Queues(self._ask)
        self.retention = RetentionClient(self._ask)
        self.payloads = PayloadsClient(self._ask)
        self.namespaces = NamespacesClient(self._ask)
        self.principals = PrincipalsClient(self._ask)
        self.endpoints = EndpointsClient(self._ask)
        self.namespace_keys = NamespaceKeys(self._ask)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=None if self._tls is None else aiohttp.TCPConnector(ssl=self._tls),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- runs ------------------------------------------------------------------------------------------------------

    async def start(
        self,
        workflow: str,
        input: Any = None,
        *,
        key: str | None = None,
        attributes: dict[str, str | bool | int | float] | None = None,
        queue: str = "",
        fair_key: str = "",
        priority: int | None = None,
    ) -> StartedRun:
        """Start a run, in ``queue`` where one is named. With a ``key`` it may be repeated: ``created`` tells whether
        this asking opened it."""
        body = StartRun(
            workflow=workflow,
            input=input,
            key=key,
            attributes=attributes or {},
            queue=queue,
            fair_key=fair_key,
            priority=priority,
        )
        return await self._post("/v1/runs", StartedRun, body)

    async def runs(
        self,
        *,
        workflow: str | None = None,
        state: str | None = None,
        corr_id: str | None = None,
        attributes: Sequence[str] = (),
        after: str | None = None,
        limit: int = 50,
    ) -> RunPage:
        """One page of runs, newest first; ``after`` is the ``next`` of the page before. ``attributes``: each must hold,
        such as ``customer=c-7`` and ``amount>=100``."""
        asked: dict[str, Any] = {"workflow": workflow, "state": state, "corr_id": corr_id, "after": after}
        asked["limit"] = str(limit)
        if attributes:
            asked["attribute"] = list(attributes)
        return await self._get("/v1/runs", RunPage, asked)

    async def run(self, run_id: str) -> RunView:
        """One run with its result and timeline."""
        return await self._get(f"/v1/runs/{_part(run_id)}", RunView)

    async def wait(self, run_id: str, *, timeout_s: float = WAIT_S) -> RunView:
        """The run once it has closed, or as it is after ``timeout_s`` (at most 60): look at ``closed_at``."""
        path = f"/v1/runs/{_part(run_id)}/wait"
        return await self._get(path, RunView, {"timeout": f"{timeout_s:g}"}, timeout_s=timeout_s + self._timeout_s)

    async def signal(self, run_id: str, name: str, value: Any = None, *, message_id: str | None = None) -> Accepted:
        """Send a signal. With a ``message_id`` it may be repeated."""
        ask = SignalAsk(name=name, value=value, message_id=message_id)
        return await self._post(f"/v1/runs/{_part(run_id)}/signal", Accepted, ask)

    async def cancel(self, run_id: str, reason: str = "", *, force: bool = False) -> Accepted:
        """Ask the run to cancel; ``force`` closes it without running any of its code."""
        return await self._post(f"/v1/runs/{_part(run_id)}/cancel", Accepted, CancelAsk(reason=reason, force=force))

    async def terminate(self, run_id: str, reason: str = "") -> Accepted:
        """Close the run at once, without running any of its code: no compensation runs."""
        return await self._post(f"/v1/runs/{_part(run_id)}/terminate", Accepted, TerminateAsk(reason=reason))

    async def pause(self, run_id: str, reason: str = "", *, message_id: str | None = None) -> Accepted:
        """Set the run aside until it is resumed; ``accepted`` false: it was paused before."""
        return await self._post(
            f"/v1/runs/{_part(run_id)}/pause", Accepted, PauseAsk(reason=reason, message_id=message_id)
        )

    async def resume(self, run_id: str, reason: str = "", *, message_id: str | None = None) -> Accepted:
        """Let a paused run go on. With a ``message_id`` both may be repeated."""
        return await self._post(
            f"/v1/runs/{_part(run_id)}/resume", Accepted, PauseAsk(reason=reason, message_id=message_id)
        )

    async def fork(self, run_id: str, ask: ForkRun) -> StartedRun:
        """Open a run that begins with what this one did before a step. With a key it may be repeated."""
        return await self._post(f"/v1/runs/{_part(run_id)}/fork", StartedRun, ask)

    async def reset(self, run_id: str, ask: ForkRun) -> StartedRun:
        """Close the run, as terminated, and go on from a step in a fork of it. May be repeated."""
        return await self._post(f"/v1/runs/{_part(run_id)}/reset", StartedRun, ask)

    async def settle(self, run_id: str, ask: SettleAsk) -> Accepted:
        """Say what became of a step that is in doubt."""
        return await self._post(f"/v1/runs/{_part(run_id)}/settle", Accepted, ask)

    async def retry(self, run_id: str) -> Accepted:
        """Try a blocked or failed run again; ``run_id`` of the answer is the run that goes on."""
        return await self._post(f"/v1/runs/{_part(run_id)}/retry", Accepted)

    # -- bulk ------------------------------------------------------------------------------------------------------

    async def preview_bulk(self, where: RunSelection) -> BulkPreview:
        """How many runs are selected, and the newest of them. Changes nothing."""
        return await self._post("/v1/bulk/preview", BulkPreview, where)

    async def bulk(self, ask: BulkAsk) -> StartedRun:
        """Begin a bulk. It is a run: pause, resume and cancel it as one. With a key it may be repeated."""
        return await self._post("/v1/bulk", StartedRun, ask)

    async def bulk_at(self, bulk_id: str) -> BulkView:
        """How far a bulk is."""
        return await self._get(f"/v1/bulk/{_part(bulk_id)}", BulkView)

    # -- versions --------------------------------------------------------------------------------------------------

    async def versions(self) -> VersionPage:
        """Every version of the application, its nodes and its open runs."""
        return await self._get("/v1/versions", VersionPage)

    async def move_runs(self, ask: MoveRuns) -> StartedRun:
        """Begin a verified move. It is a run: pause, resume and cancel it as one. With a key it may be repeated."""
        return await self._post("/v1/versions/moves", StartedRun, ask)

    async def move_at(self, move_id: str) -> MoveView:
        """How far a move is, and which runs stayed."""
        return await self._get(f"/v1/versions/moves/{_part(move_id)}", MoveView)

    # -- events and letters ----------------------------------------------------------------------------------------

    async def events(self, *, type: str | None = None, after: str | None = None, limit: int = 50) -> EventPage:
        """One page of events, newest first."""
        return await self._get("/v1/events", EventPage, {"type": type, "after": after, "limit": str(limit)})

    async def event(self, event_id: str) -> EventView:
        """One event with its data."""
        return await self._get(f"/v1/events/{_part(event_id)}", EventView)

    async def replay_event(self, event_id: str) -> Replayed:
        """Give an event to its subscriptions again."""
        return await self._post(f"/v1/events/{_part(event_id)}/replay", Replayed)

    async def recent_audit(self, *, limit: int = 100) -> RecentAudit:
        """The newest decisions in the memory of the node that answers, and how its sinks fare."""
        return await self._get("/v1/audit/recent", RecentAudit, {"limit": str(limit)})

    async def tail(
        self, *, topic: str = "svc-interop", since_s: float = 900.0, after: str | None = None, wait_s: float = 0.0
    ) -> TailPage:
        """What was decided since ``since_s`` ago, or after the ``next`` of the page before; waits up to ``wait_s`` (at
        most 20) for something to come."""
        asked = {"topic": topic, "since": f"{since_s:g}", "after": after, "wait": f"{wait_s:g}", "limit": "500"}
        return await self._get("/v1/tail", TailPage, asked, timeout_s=wait_s + self._timeout_s)

    async def letters(self, *, replayed: bool = False, after: str | None = None, limit: int = 50) -> LetterPage:
        """One page of dead letters, newest first."""
        asked = {"replayed": "true" if replayed else "false", "after": after, "limit": str(limit)}
        return await self._get("/v1/dead-letters", LetterPage, asked)

    async def letter(self, letter_id: str) -> LetterDetail:
        """One dead letter with its event's data."""
        return await self._get(f"/v1/dead-letters/{_part(letter_id)}", LetterDetail)

    async def dismiss_letter(self, letter_id: str, ask: DismissAsk) -> LetterView:
        """Take a dead letter off the list without sending it again."""
        return await self._post(f"/v1/dead-letters/{_part(letter_id)}/dismiss", LetterView, ask)

    async def replay_letter(self, letter_id: str) -> Replayed:
        """Give a dead letter's event to its subscription again."""
        return await self._post(f"/v1/dead-letters/{_part(letter_id)}/replay", Replayed)

    # -- the rest --------------------------------------------------------------------------------------------------

    async def mint(self, ask: MintAsk) -> Minted:
        """Mint a capability. Its token is in this answer and nowhere else."""
        return await self._post("/v1/capabilities", Minted, ask)

    async def check_capability(self, ask: CheckAsk) -> CapabilityView:
        """What a token says, and whether it is good there now."""
        return await self._post("/v1/capabilities/check", CapabilityView, ask)

    async def revoke(self, ask: RevokeAsk) -> RevocationView:
        """Revoke by id, key or namespace. By id and key it may be repeated."""
        return await self._post("/v1/capabilities/revocations", RevocationView, ask)

    async def revocations(self, *, after: int = 0, limit: int = 100) -> RevocationPage:
        """One page of revocations, oldest first; ``after`` is the ``next`` of the page before."""
        return await self._get(
            "/v1/capabilities/revocations", RevocationPage, {"after": str(after), "limit": str(limit)}
        )

    async def keys(self) -> KeyPage:
        """The root keys of the node that answers, without their secrets."""
        return await self._get("/v1/capabilities/keys", KeyPage)

    async def targets(self) -> TargetPage:
        """Every declared target and its state on the node that answers."""
        return await self._get("/v1/targets", TargetPage)

    async def target(self, name: str) -> TargetView:
        """One target, with every node's part of its limits."""
        return await self._get(f"/v1/targets/{quote(name, safe='')}", TargetView)

    async def close_target(self, name: str, ask: CloseAsk) -> ClosureView:
        """Let no call out to it any more, on any node. A second call replaces reason and end."""
        return await self._post(f"/v1/targets/{quote(name, safe='')}/close", ClosureView, ask)

    async def open_target(self, name: str, ask: OpenAsk) -> Opened:
        """Open again what was closed. A second call changes nothing."""
        return await self._post(f"/v1/targets/{quote(name, safe='')}/open", Opened, ask)

    async def info(self) -> NodeInfo:
        """What the node that answers says of itself."""
        return await self._get("/v1/info", NodeInfo)

    async def drain(self) -> NodeInfo:
        """Ask the node that answers to take no new work. Only a restart takes it back."""
        return await self._post("/v1/node/drain", NodeInfo)

    async def export_audit(
        self, *, first: int = 1, last: int | None = None, journal: bool = False, run: str | None = None
    ) -> AsyncIterator[bytes]:
        """The evidence in pieces, to be written one after the other. Raises ``Unreachable`` when it breaks off."""
        asked = {
            "first": str(first),
            "last": None if last is None else str(last),
            "journal": "true" if journal else "false",
            "run": run,
        }
        session = self._opened()
        try:
            async with session.get(
                f"{self._url}/v1/audit/export",
                params=_given(asked),
                timeout=aiohttp.ClientTimeout(total=None, sock_read=self._timeout_s),
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise error_of(response.status, await _whole(response), response.headers.get("Retry-After"))
                async for piece in response.content.iter_chunked(64 * 1024):
                    yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._away(error) from None

    # -- one request -----------------------------------------------------------------------------------------------

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is not open; write: async with Client(url, token) as client")
        return self._session

    async def _get(
        self, path: str, kind: type[T], asked: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> T:
        return decode(await self._request("GET", path, params=_given(asked or {}), timeout_s=timeout_s), kind)

    async def _post(self, path: str, kind: type[T], body: msgspec.Struct | None = None) -> T:
        return decode(await self._request("POST", path, body=msgspec.json.encode(body) if body else None), kind)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        params: Mapping[str, Any] | None = None,
        body: msgspec.Struct | None = None,
    ) -> T:
        sent = msgspec.json.encode(body) if body is not None else None
        answer = await self._request(method, path, params=_given(params or {}), body=sent)
        return decode(answer or b"null", kind)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        session = self._opened()
        try:
            async with session.request(
                method,
                f"{self._url}{path}",
                params=params,
                data=body,
                headers={"Content-Type": "application/json"} if method != "GET" else None,
                timeout=aiohttp.ClientTimeout(total=timeout_s or self._timeout_s),
                # A redirect would carry the token to whoever it names.
                allow_redirects=False,
            ) as response:
                answer = await _whole(response)
                if not 200 <= response.status < 300:
                    raise error_of(response.status, answer, response.headers.get("Retry-After"))
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._away(error) from None

    def _away(self, error: BaseException) -> Unreachable:
        why = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
        return Unreachable(f"{self._url} cannot be reached ({why}).", cure="Is it running? Check --url.")


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_chunked(64 * 1024):
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise Unreachable(f"The answer is over {ANSWER_BYTES_MAX} bytes.", cure="Ask for a smaller page.")
        pieces.append(piece)
    return b"".join(pieces)


def _given(asked: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if value is not None}


def _part(text: str) -> str:
    return quote(text, safe="")

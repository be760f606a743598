"""What a rehearsal needs without a service: the application's programs, and histories of an export or a database."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import msgspec

from rco.engine.program import Programs
from rco.errors import ConfigInvalid, EvidenceBroken, NotFound
from rco.kit.digest import digest
from rco.kit.ids import id_bytes, id_text
from rco.model.effect import Answer, Attempt, RetryPolicy
from rco.model.journal import Record, decode_segment
from rco.model.payload import Reference
from rco.model.run import Mode, Outcome, RunRow
from rco.model.target import CallRequest, Repeat, TargetProbe
from rco.operations.view import MODES_OF
from rco.payloads.segments import packed_value, references_of, with_payloads
from rco.store.contract.snapshot import Snapshot
from rco.workflow.application import Application, load_application

__all__ = ["exported", "programs_of", "rehearsed", "stored"]


class _NoCalls:
    """Implements ``rco.workflow.calls.Caller``: in a rehearsal nothing is called."""

    def repeat_class(self, request: CallRequest) -> Repeat:
        raise NotFound(f"no target {request.target!r} in a rehearsal.")

    def probe(self, request: CallRequest) -> TargetProbe | None:  # noqa: ARG002 - nothing is in doubt
        return None

    def retry_policy(self, request: CallRequest) -> RetryPolicy:
        raise NotFound(f"no target {request.target!r} in a rehearsal.")

    def fallback(self, request: CallRequest) -> dict[str, Any] | None:  # noqa: ARG002 - there is none
        return None

    def attempt(self, request: CallRequest, attempt: Attempt) -> Awaitable[Answer]:
        _refuse(request, attempt)


def _refuse(request: CallRequest, attempt: Attempt) -> NoReturn:
    raise RuntimeError(f"a rehearsal called {request.target!r} for {attempt.key!r}")


def programs_of(app: str) -> Programs:
    """The workflows of an application, to be replayed and not to be run. Raises as ``load_application``."""
    return rehearsed(load_application(app))


def rehearsed(application: Application) -> Programs:
    """The same, of an application that is there already."""
    return Programs(application.programs(_NoCalls(), ThreadPoolExecutor(1)))


def stored(snapshot: Snapshot, fetch: Callable[[Reference], bytes]) -> Iterator[tuple[RunRow, list[Record]]]:
    """Every run of a database with its records, by id upwards. ``fetch`` gives what is in the object store."""
    for history in snapshot.histories():
        pieces = [_whole(segment.data, fetch) for segment in history.segments]
        yield history.row, _records(id_text(history.row.run_id), pieces)


def exported(lines: Iterable[bytes]) -> Iterator[tuple[RunRow, list[Record]]]:
    """Every run of an export (``rco-export/1``) with its records. Raises ``EvidenceBroken`` for what is none, and
    ``ConfigInvalid`` for one without payloads."""
    row: RunRow | None = None
    pieces: list[bytes] = []
    for number, line in enumerate(lines, 1):
        try:
            told = msgspec.json.decode(line)
            kind = told["line"]
            if kind == "run":
                if row is not None:
                    yield row, _records(id_text(row.run_id), pieces)
                row, pieces = _row(told), []
            elif kind == "segment":
                if "data" not in told:
                    raise ConfigInvalid("the export has no payloads", cure="Write it with rco export --payloads.")
                pieces.append(_whole(base64.b64decode(told["data"], validate=True), _inlined(told)))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, binascii.Error) as problem:
            raise EvidenceBroken(
                f"line {number} is not of an export: {type(problem).__name__}.", cure="Write it with rco export."
            ) from None
    if row is not None:
        yield row, _records(id_text(row.run_id), pieces)


def _whole(data: bytes, fetch: Callable[[Reference], bytes]) -> bytes:
    """A segment with the payloads that it refers to."""
    found = references_of(data)
    return with_payloads(data, {one.name: packed_value(one, fetch(one)) for one in found}) if found else data


def _inlined(told: dict[str, Any]) -> Callable[[Reference], bytes]:
    held = {one["name"]: base64.b64decode(one["data"], validate=True) for one in told.get("payloads", ())}

    def fetch(reference: Reference) -> bytes:
        data = held.get(reference.name.hex())
        if data is None:
            raise ConfigInvalid(
                "the export refers to payloads in the object store",
                cure="Write it with rco export --payloads --inline.",
            )
        if digest(data) != reference.digest:
            raise EvidenceBroken(f"the payload {reference.name.hex()} in the export is not what the journal refers to.")
        return data

    return fetch


def _row(told: dict[str, Any]) -> RunRow:
    outcome = told.get("outcome")
    return RunRow(
        run_id=id_bytes(told["id"]),
        workflow=told["workflow"],
        version=told.get("version", ""),
        mode=Mode.CLOSED if outcome else MODES_OF.get(told["state"], Mode.HOT),
        opened_us=told["opened_us"],
        namespace=told.get("namespace", "default"),
        outcome=Outcome(outcome) if outcome else None,
    )


def _records(run: str, pieces: Iterable[bytes]) -> list[Record]:
    try:
        return [record for piece in pieces for record in decode_segment(piece)]
    except (ValueError, msgspec.DecodeError) as problem:
        raise EvidenceBroken(f"the journal of run {run} cannot be decoded: {problem}.") from None

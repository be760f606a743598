"""The questions about runs and what belongs to one: journal, inbox, timer. Each is one statement, so one snapshot."""

from __future__ import annotations

from typing import Any

from rco.model.message import Message
from rco.model.run import Mode, Outcome
from rco.store import rows
from rco.store.contract.ownership import Pooled, Shards
from rco.store.contract.reader import RunFilter
from rco.store.event_message import event_body
from rco.store.postgres.attributes import conditions
from rco.store.postgres.text import plain
from rco.store.postgres.versions import within

__all__ = [
    "COUNT",
    "EVERY_MESSAGE",
    "FORKS",
    "JOURNALS",
    "KEY",
    "MESSAGES",
    "RUNS",
    "Question",
    "due",
    "message",
    "open_runs",
    "runs",
]

Question = tuple[str, list[Any]]

# Of several runs, each found by the index whatever the planner knows of the tables.
_EACH = "SELECT f.* FROM unnest($1::bytea[]) WITH ORDINALITY AS a(id, place) CROSS JOIN LATERAL ({0} OFFSET 0) AS f"
RUNS = _EACH.format(f"{rows.OPEN_RUNS} WHERE run_id = a.id UNION ALL {rows.CLOSED_RUNS} WHERE run_id = a.id")
COUNT = "SELECT mode, count(*) FROM run GROUP BY mode"
KEY = "SELECT run_id FROM start_key WHERE namespace = $1 AND key = $2"
FORKS = (
    "SELECT run_id FROM start_key WHERE namespace = $1 AND key LIKE 'fork:%' AND key ~>~ $2 AND key ~<~ $3"
    " ORDER BY key USING ~<~ LIMIT $4"
)
JOURNALS = (
    _EACH.format(f"SELECT {rows.SEGMENT_COLUMNS}, chain FROM journal WHERE run_id = a.id")
    + " ORDER BY a.place, f.first_seq"
)
_MESSAGES = (
    "SELECT m.run_id, m.message_id, m.kind, m.name, m.body, m.at_us, e.id, e.source, e.type, e.subject, e.time_us,"
    " e.data, m.arrival FROM (SELECT run_id, message_id, kind, name, body, at_us, event, arrival FROM message{0}"
    " UNION ALL SELECT run_id, message_id, kind, name, body, at_us, NULL, arrival FROM unread{0}) AS m"
    " LEFT JOIN event AS e ON e.seq = m.event"
)
MESSAGES = _EACH.format(_MESSAGES.format(" WHERE run_id = a.id")) + " ORDER BY a.place, f.arrival"
EVERY_MESSAGE = _MESSAGES.format("") + " ORDER BY m.run_id, m.arrival"


def message(row: Any) -> Message:
    """With the body of an event put together here: it is stored once, however many runs it wakes."""
    run_id, message_id, kind, name, body, at_us, *event, _ = row
    if body is None:
        body = event_body(*event)
    return Message(run_id, message_id, kind, name, body, at_us)


def runs(where: RunFilter, limit: int) -> Question:
    """Open and closed together, newest first. A mode of open runs leaves out the closed ones, an outcome the open; when
    nothing is left to ask for, the text is empty."""
    values: list[Any] = []
    parts: list[str] = []
    if where.outcome is None and where.mode is not Mode.CLOSED:
        parts.append(
            f"({rows.OPEN_RUNS} WHERE {_filter(where, values, mode=where.mode)} ORDER BY run_id DESC LIMIT {limit:d})"
        )
    if (where.mode is None or where.mode is Mode.CLOSED) and not where.open_only:
        parts.append(
            f"({rows.CLOSED_RUNS} WHERE {_filter(where, values, mode=None)} ORDER BY run_id DESC LIMIT {limit:d})"
        )
    if not parts:
        return "", []
    both = " UNION ALL ".join(parts)
    return f"SELECT * FROM ({both}) AS found ORDER BY run_id DESC LIMIT {limit:d}", values


def count_runs(where: RunFilter) -> Question:
    """How many ``runs`` would give; when nothing is left to ask for, the text is empty."""
    values: list[Any] = []
    parts: list[str] = []
    if where.outcome is None and where.mode is not Mode.CLOSED:
        parts.append(f"(SELECT count(*) FROM run WHERE {_filter(where, values, mode=where.mode)})")
    if (where.mode is None or where.mode is Mode.CLOSED) and not where.open_only:
        parts.append(f"(SELECT count(*) FROM closed_run WHERE {_filter(where, values, mode=None)})")
    return (f"SELECT {' + '.join(parts)}", values) if parts else ("", [])


_DETAIL = "convert_from(detail, 'UTF8')"
# The server has no such character, escaped or not; what stands for it is as long and escaped alike.
_JSON = f"replace({_DETAIL}, '\\u0000', '\\ufffd')::json"
_CODE = f"coalesce({_JSON} #>> '{{error,code}}', {_JSON} ->> 'cause') ="
_ALL_TEXT = f"lower(coalesce({_DETAIL}, '') || chr(10) || coalesce(key, '') || chr(10) || corr_id)"


def _filter(where: RunFilter, values: list[Any], *, mode: Mode | None) -> str:
    parts: list[str] = []

    def add(text: str, value: Any) -> None:
        values.append(plain(value) if isinstance(value, str) else value)
        parts.append(f"{text} ${len(values)}")

    add("namespace =", where.namespace)
    if where.workflow is not None:
        add("workflow =", where.workflow)
    if where.version is not None:
        add("version =", where.version)
    if mode is not None:
        add("mode =", int(mode))
    if where.corr_id is not None:
        add("corr_id =", where.corr_id)
    if where.ids is not None:
        values.append(list(where.ids))
        parts.append(f"run_id = ANY (${len(values)}::bytea[])")
    if where.after is not None:
        add("run_id <", where.after)
    if where.opened_from_us is not None:
        add("opened_us >=", where.opened_from_us)
    if where.opened_to_us is not None:
        add("opened_us <", where.opened_to_us)
    if where.code is not None:
        add(_CODE, where.code)
    if where.text is not None:
        values.append(plain(where.text))
        parts.append(f"position(lower(${len(values)}) IN {_ALL_TEXT}) > 0")
    if where.attributes:
        parts += conditions(where, values)
    if where.users_only:
        parts.append("left(workflow, 4) <> 'rco.'")
    if where.outcome is not None:
        add("outcome =", where.outcome.value)
        if where.outcome is not Outcome.COMPLETED:
            # Said again in the words of the partial index, or the planner may not use it.
            parts.append("outcome <> 'completed'")
    if where.corr_id:
        parts.append("corr_id <> ''")
    return " AND ".join(parts)


def open_runs(mode: Mode, after: bytes | None, limit: int, shards: Shards | None, pool: Pooled | None) -> Question:
    values: list[Any] = [after or b"", int(mode), limit]
    more = within(shards, pool, values)
    return f"{rows.OPEN_RUNS} WHERE run_id > $1 AND mode = $2{more} ORDER BY run_id LIMIT $3", values


def due(before_us: int, limit: int, shards: Shards | None, pool: Pooled | None) -> Question:
    values: list[Any] = [before_us, limit]
    more = within(shards, pool, values, "r.version" if pool is not None else "", "timer.shard")
    if pool is not None:
        more = f" AND EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = timer.run_id{more})"
    return f"SELECT due_us, run_id FROM timer WHERE due_us < $1{more} ORDER BY due_us, run_id LIMIT $2", values

"""(d) A run's journal has no gap and no repeat, and epochs never go back."""

from __future__ import annotations

from rco.verify.case import Case, Run
from rco.verify.lines import SegmentLine
from rco.verify.owners import Tenure
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["Journals"]

TITLE = "journals are contiguous, epochs never go back"


class Journals:
    """Looks at every segment and every record, in the order of the export."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._found = Findings()
        self._segments = self._records = 0

    def take(self, run: Run) -> None:
        found, name = self._found, run.name
        if self._case.gone(run):
            return
        following = counted = 0
        before_n: dict[str, int] = {}
        owner: Tenure | None = None
        for segment in run.segments:
            self._segments += 1
            if segment.first_seq != following:
                what = "records are missing" if segment.first_seq > following else "records are repeated"
                found.add(f"{name}: its journal goes on at {segment.first_seq}, expected {following}: {what}")
            last_n = before_n.get(segment.chain, 0)
            if segment.n < last_n:
                found.add(f"{name}: segment {segment.first_seq} stands in commit {segment.n}, after {last_n}")
            owner = self._owned(run, segment, owner)
            if segment.records < 1:
                found.add(f"{name}: segment {segment.first_seq} holds {segment.records} records")
            following = segment.first_seq + segment.records
            before_n[segment.chain] = segment.n
            counted += 0 if segment.encrypted and not run.opened else segment.records
        if len(run.segments) != run.line.segments:
            found.add(f"{name} is said to have {run.line.segments} segments; {len(run.segments)} are there")
        if counted != len(run.records):
            found.add(f"{name}: its segments hold {counted} records; {len(run.records)} are there")
        if not run.encrypted:
            self._in_order(run)
            self._versions(run)

    def _owned(self, run: Run, segment: SegmentLine, before: Tenure | None) -> Tenure | None:
        """Under which lease the segment was written, after one under ``before``: who lost a shard writes no more."""
        name = f"{run.name}: segment {segment.first_seq}"
        owners, pool = self._case.owners, run.pool(segment.first_seq)
        now = owners.tenure(segment.chain, segment.n, run.line.id, pool)
        if now is None and pool and segment.first_seq == 0 and owners.knows(segment.chain, segment.n):
            # Opened by a node that does not own the shard, for the one that does.
            return before
        if now is None:
            of = f" of {segment.chain}" if segment.chain else ""
            self._found.add(f"{name} names commit {segment.n}{of}, which is not there or says no lease of its shard")
            return before
        if before is not None and before.pool == now.pool:
            if now.epoch < before.epoch:
                self._found.add(f"{name} has epoch {now.epoch}, after epoch {before.epoch}")
            elif now.epoch == before.epoch and now.node != before.node:
                self._found.add(f"{name} was written by {now.node} in epoch {now.epoch}, which was {before.node}'s")
        return now

    def _in_order(self, run: Run) -> None:
        starts = {segment.first_seq: segment for segment in run.segments}
        within, epoch = None, 0
        for expected, record in enumerate(run.records):
            self._records += 1
            within = starts.get(record.seq, within)
            if record.seq != expected:
                self._found.add(f"{run.name}: record {record.seq} stands where {expected} must")
                return
            if within is not None and (record.chain, record.n) != (within.chain, within.n):
                self._found.add(
                    f"{run.name}: record {record.seq} names commit {record.n}, its segment commit {within.n}"
                )
            if record.kind == "OWNER":
                mine = int(record.body.get("epoch", 0))
                if mine < epoch:
                    self._found.add(f"{run.name}: owner of epoch {mine} after one of epoch {epoch}")
                epoch = max(epoch, mine)

    def _versions(self, run: Run) -> None:
        """A run goes on with the version it began with, until a VERSION record says another, which was decided."""
        if not run.records or run.records[0].kind != "START":
            return
        version = str(run.records[0].body.get("version") or "")
        moves = run.of("VERSION")[:]
        for move in moves:
            if move.body.get("from") != version:
                self._found.add(
                    f"{run.name}: record {move.seq} moves it from version {move.body.get('from')}, it was of {version}"
                )
            version = str(move.body.get("to"))
        if run.line.version is not None and run.line.version != version:
            self._found.add(f"{run.name} is said to be of version {run.line.version}, its journal says {version}")
        decided = self._case.decided.get(run.line.id, []).count("move")
        if decided != len(moves) and not self._case.trims.covers(run.line.id):
            self._found.add(
                f"{run.name} was moved {len(moves)} times between versions, which was decided {decided} times"
            )

    def finish(self) -> RuleVerdict:
        evidence = f"{self._records} records in {self._segments} segments"
        word = Result.PASS if self._segments else Result.NOT_APPLICABLE
        return self._found.verdict("d", TITLE, word, evidence)

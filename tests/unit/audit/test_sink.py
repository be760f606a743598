"""A sink: nothing waits for it, and what it is given is written, dropped or waiting, to the last one."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from rco.audit.outlets import Appended, Ring, open_file
from rco.audit.record import Chain, decode_record
from rco.audit.sink import Sink
from rco.audit.verify_records import looks_like_records, verify_records
from rco.errors import ConfigInvalid
from rco.model.decision import Decision, Verb

GIVE_UP_S = 30.0


def decision(number: int) -> Decision:
    return Decision(verb=Verb.REFUSE, at_us=number, allow=False, subject="forge", reason="sig_mismatch")


class Held:
    """A pipe that takes nothing until it is let go."""

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), threading.Event()
        self.lines = b""
        self.fails = 0
        self.piece = 1 << 20

    def write(self, data: bytes) -> int:
        self.asked.set()
        assert self.go.wait(GIVE_UP_S)
        if self.fails:
            self.fails -= 1
            raise OSError(28, "No space left on device")
        self.lines += data[: self.piece]
        return len(data[: self.piece])

    def sync(self) -> None:
        pass

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


def told(lines: bytes) -> list[bytes]:
    return lines.splitlines(keepends=True)


def test_a_slow_sink_holds_nobody_up_drops_the_oldest_and_counts_exactly() -> None:
    out, counted = Held(), []
    sink = Sink("slow", out, Chain(), limit=16, told_dropped=counted.append)
    sink.emit(decision(0))
    assert out.asked.wait(GIVE_UP_S)  # the first is being written, and hangs
    for number in range(1, 101):
        sink.emit(decision(number))
    seen = sink.seen()
    assert (seen.written, seen.dropped, seen.waiting) == (0, 84, 17)
    out.go.set()
    sink.stop(GIVE_UP_S)
    seen = sink.seen()
    assert (seen.written, seen.dropped, seen.waiting, sum(counted)) == (17, 84, 0, 84)
    records = [decode_record(line) for line in told(out.lines)]
    assert [record.dropped for record in records] == [0, 84, *[0] * 15]
    assert b'"at_us":85' in bytes(records[1].decision)
    assert b'"at_us":100' in bytes(records[-1].decision)
    verdict = verify_records(told(out.lines), expect_head=seen.head)
    assert (verdict.ok, verdict.dropped) == (True, 84), verdict.text()


def test_a_disk_that_is_full_for_a_while_and_writes_in_pieces_loses_nothing() -> None:
    out, troubles = Held(), []
    out.fails, out.piece = 2, 7
    out.go.set()
    sink = Sink("disk", out, Chain(), limit=100, trouble=troubles.append)
    for number in range(20):
        sink.emit(decision(number))
    sink.stop(GIVE_UP_S)
    assert sink.seen().written == 20
    assert len(troubles) == 1
    assert verify_records(told(out.lines)).ok


def test_what_cannot_be_written_by_the_end_is_counted() -> None:
    out = Held()
    sink = Sink("stuck", out, Chain(), limit=100)
    for number in range(10):
        sink.emit(decision(number))
    assert out.asked.wait(GIVE_UP_S)
    sink.stop(0.05)
    sink.emit(decision(11))
    out.go.set()
    seen = sink.seen()
    assert (seen.written, seen.dropped, seen.waiting) == (0, 11, 0)


def kept(path: Path, numbers: range) -> None:
    out, chain, torn = open_file(path, 1)
    sink = Sink("file", out, chain, limit=1000)
    if torn is not None:
        sink.emit(torn)
    for number in numbers:
        sink.emit(decision(number))
    sink.stop(GIVE_UP_S)


def test_a_file_is_private_only_appended_to_and_goes_on_over_starts(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    old = os.umask(0)
    try:
        kept(path, range(3))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    kept(path, range(3, 6))
    assert path.read_bytes().startswith(before)
    lines = told(path.read_bytes())
    assert looks_like_records(lines[0])
    verdict = verify_records(lines)
    assert verdict.ok
    assert (verdict.first, verdict.last, verdict.anchored) == (1, 6, True)


def test_every_edit_cut_addition_and_exchange_shows(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept(path, range(5))
    lines = told(path.read_bytes())
    head = decode_record(lines[-1]).hash
    text = b"".join(lines)
    for at in range(0, len(text) * 8, 97):
        flipped = bytearray(text)
        flipped[at // 8] ^= 1 << at % 8
        assert not verify_records(bytes(flipped).splitlines(keepends=True), expect_head=head).ok, at
    assert not verify_records([*lines[:2], *lines[3:]]).ok
    assert not verify_records([lines[0], lines[2], lines[1], *lines[3:]]).ok
    assert not verify_records([*lines[:3], b"anything\n", *lines[3:]]).ok
    assert not verify_records(lines[:4], expect_head=head).ok  # cut at the end: only the head noted elsewhere shows it
    assert verify_records(lines[:4]).ok
    late = verify_records(lines[2:])
    assert late.ok
    assert not late.anchored
    assert late.first == 3


def test_a_line_that_a_crash_cut_off_is_named_by_the_next_and_nothing_else_is_passed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept(path, range(3))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    kept(path, range(10, 12))
    lines = told(path.read_bytes())
    assert verify_records(lines).ok
    assert len(lines) == 6
    assert not verify_records([*lines[:2], lines[2].replace(b"forge", b"smith"), *lines[3:]]).ok


def test_a_file_that_does_not_end_in_a_record_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("something else\n")
    with pytest.raises(ConfigInvalid, match="does not end in a record"):
        open_file(path, 1)
    assert path.read_text() == "something else\n"
    link = tmp_path / "link"
    link.symlink_to(path)
    for odd in (link, tmp_path, tmp_path / "nowhere" / "audit"):
        with pytest.raises(ConfigInvalid):
            open_file(odd, 1)


def test_a_file_that_was_moved_away_is_opened_anew_and_the_chain_goes_on(tmp_path: Path) -> None:
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    out, chain, _ = open_file(path, 1)
    wrote = threading.Semaphore(0)
    sink = Sink("file", out, chain, limit=1000, told_written=lambda count: [wrote.release() for _ in range(count)])
    for number in range(3):
        sink.emit(decision(number))
        assert wrote.acquire(timeout=GIVE_UP_S)
    path.rename(moved)
    sink.reopen()
    sink.emit(decision(3))
    sink.stop(GIVE_UP_S)
    assert len(told(moved.read_bytes())) == 3
    assert len(told(path.read_bytes())) == 1
    assert verify_records(told(moved.read_bytes() + path.read_bytes())).ok
    assert isinstance(out, Appended)


def test_a_ring_keeps_the_newest_and_counts_what_went() -> None:
    ring = Ring(4)
    for number in range(10):
        ring.emit(decision(number))
    assert ring.displaced == 6
    assert ring.seen().written == 10
    assert [record.n for record in ring.newest(3)] == [10, 9, 8]
    assert len(ring.newest(100)) == 4

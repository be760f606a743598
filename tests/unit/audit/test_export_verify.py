"""An export is checked with nothing but itself, and says exactly what is wrong."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rco.audit import verify as verify_module
from rco.audit.export import export, export_run
from rco.audit.lines import MAX_LINE_BYTES, SealLine, decode_line, encode_line
from rco.audit.link import link_hash
from rco.audit.verdict import Verdict
from rco.audit.verify import main, read_lines, verify
from rco.errors import EvidenceBroken, NotFound


async def lines_of(source: AsyncIterator[bytes]) -> list[bytes]:
    return [line async for line in source]


def what(verdict: Verdict) -> str:
    assert not verdict.ok
    return "\n".join(map(str, verdict.problems))


async def test_a_whole_chain_verifies(evidence) -> None:
    lines = await lines_of(export(evidence, journal=True))
    verdict = verify(lines, expect_head=evidence.chain[-1].hash.hex())
    assert verdict.ok, verdict.text()
    assert (verdict.first, verdict.last, verdict.links) == (1, 5, 5)
    assert (verdict.decisions, verdict.segments, verdict.absent) == (7, 5, 0)
    assert verdict.anchored
    assert verdict.head_expected
    verdict.must_hold()


async def test_an_empty_chain_verifies(new_evidence) -> None:
    verdict = verify(await lines_of(export(new_evidence())))
    assert verdict.ok
    assert (verdict.links, verdict.head) == (0, "00" * 32)


async def test_without_the_journal_its_leaves_are_reported_as_not_in_this_export(evidence) -> None:
    lines = await lines_of(export(evidence))
    verdict = verify(lines)
    assert verdict.ok
    assert (verdict.segments, verdict.absent) == (0, 5)
    assert "5 not in this export" in verdict.text()
    assert not verify(lines, complete=True).ok


async def test_a_part_says_that_what_stands_before_is_taken_on_trust(evidence) -> None:
    verdict = verify(await lines_of(export(evidence, first_n=2, last_n=4, journal=True)))
    assert verdict.ok
    assert (verdict.first, verdict.last, verdict.anchored) == (2, 4, False)
    assert "taken on trust" in verdict.text()
    assert verdict.head == evidence.chain[3].hash.hex()


async def test_a_range_beyond_the_head_ends_at_the_head(evidence) -> None:
    assert verify(await lines_of(export(evidence, first_n=4, last_n=99))).last == 5
    assert verify(await lines_of(export(evidence, first_n=9))).links == 0


@pytest.mark.parametrize(("first", "last"), [(0, 1), (3, 2)])
async def test_a_range_that_is_none_is_refused(evidence, first: int, last: int) -> None:
    with pytest.raises(ValueError, match="count from 1"):
        await lines_of(export(evidence, first_n=first, last_n=last))


async def test_after_retention_the_export_begins_at_the_first_link_there_is(evidence) -> None:
    del evidence.chain[:2]
    verdict = verify(await lines_of(export(evidence)))
    assert verdict.ok
    assert verdict.first == 3


async def test_what_is_sealed_while_exporting_is_not_in_the_export(evidence) -> None:
    source = export(evidence)
    lines = [await anext(source)]
    evidence.commit()
    lines += [line async for line in source]
    assert verify(lines).ok
    assert verify(lines).last == 5


async def test_a_long_chain_is_read_in_pages(new_evidence) -> None:
    evidence = new_evidence()
    for _ in range(200):
        evidence.commit()
    assert verify(await lines_of(export(evidence))).links == 200
    assert max(evidence.asked) <= 64


async def test_a_missing_last_link_is_said_by_the_export(evidence) -> None:
    del evidence.chain[2]
    with pytest.raises(EvidenceBroken, match="link 3"):
        await lines_of(export(evidence, last_n=3))


async def test_the_proof_of_one_run(evidence, run_a: bytes) -> None:
    lines = await lines_of(export_run(evidence, run_a))
    verdict = verify(lines)
    assert verdict.ok, verdict.text()
    assert (verdict.first, verdict.last, verdict.segments, verdict.absent) == (1, 4, 3, 2)
    assert verdict.run == "41414141-4141-4141-4141-414141414141"
    assert b"42424242-" not in b"".join(lines)


async def test_the_proof_of_one_run_without_one_of_its_segments(evidence, run_a: bytes) -> None:
    lines = await lines_of(export_run(evidence, run_a))
    journal = [i for i, line in enumerate(lines) if b'"line":"journal"' in line]
    assert "expected 2: 3 missing" in what(verify(lines[: journal[1]] + lines[journal[1] + 1 :]))
    assert "proves nothing" in what(verify([line for i, line in enumerate(lines) if i not in journal]))


async def test_a_run_without_a_journal_is_not_found(evidence) -> None:
    with pytest.raises(NotFound):
        await lines_of(export_run(evidence, b"z" * 16))


# --- what is found when somebody was at it ---


async def test_an_edited_decision_is_named_with_its_line(evidence) -> None:
    lines = await lines_of(export(evidence))
    lines[3] = lines[3].replace(b'"epoch":1', b'"epoch":2')
    assert what(verify(lines)).startswith("line 4: link 3: hash is ")


async def test_an_edited_link_with_its_hash_made_to_fit_breaks_the_next(evidence) -> None:
    lines = await lines_of(export(evidence))
    lines[2] = _forge(lines[2])
    found = what(verify(lines))
    assert found.startswith("line 4: link 3: prev is ")
    assert "link 2 on line 3" in found


async def test_a_forger_of_everything_is_found_only_against_a_head_from_outside(evidence) -> None:
    """The stated limit: an export whose every link is recomputed is a chain, only not ours."""
    lines = await lines_of(export(evidence))
    forged = [lines[0], _forge(lines[1])]
    for line in lines[2:]:
        forged.append(_forge(line, prev=json.loads(forged[-1])["hash"], edit=False))
    header = json.loads(lines[0])
    forged[0] = lines[0].replace(header["head"].encode(), json.loads(forged[-1])["hash"].encode())
    assert verify(forged).ok
    assert "another or a cut chain" in what(verify(forged, expect_head=evidence.chain[-1].hash.hex()))


def _forge(raw: bytes, prev: str | None = None, edit: bool = True) -> bytes:
    seal = decode_line(raw)
    assert isinstance(seal, SealLine)
    changed = json.loads(raw)
    changed["prev"] = prev or changed["prev"]
    changed["at_us"] += edit
    changed["hash"] = link_hash(
        prev=bytes.fromhex(changed["prev"]),
        writer=seal.writer,
        n=seal.n,
        epoch=seal.epoch,
        at_us=changed["at_us"],
        leaves=bytes.fromhex("".join(seal.leaves)),
        decisions=bytes(seal.decisions),
    ).hex()
    return json.dumps(changed, separators=(",", ":")).encode() + b"\n"


async def test_a_cut_tail_is_found_against_the_header_and_against_the_expected_head(evidence) -> None:
    lines = await lines_of(export(evidence))
    assert "ends at link 4, but the header says 5: 1 missing" in what(verify(lines[:-1]))
    header = (
        lines[0]
        .replace(b'"last":5', b'"last":4')
        .replace(evidence.chain[4].hash.hex().encode(), evidence.chain[3].hash.hex().encode())
    )
    assert verify([header, *lines[1:-1]]).ok
    assert "expected" in what(verify([header, *lines[1:-1]], expect_head=evidence.chain[4].hash.hex()))


async def test_a_cut_beginning_is_found(evidence) -> None:
    lines = await lines_of(export(evidence))
    assert "the first line must be the header" in what(verify(lines[1:]))
    assert "begins at link 2, but the header says 1" in what(verify([lines[0], *lines[2:]]))
    assert "not even a header" in what(verify([]))


async def test_removed_repeated_and_swapped_links(evidence) -> None:
    lines = await lines_of(export(evidence))
    assert "link 4 follows link 2: 1 missing" in what(verify(lines[:3] + lines[4:]))
    assert "repeated or out of order" in what(verify(lines[:3] + lines[2:]))
    assert "link 3 follows link 1" in what(verify([lines[0], lines[1], lines[3], lines[2], *lines[4:]]))


async def test_an_epoch_that_goes_back(new_evidence) -> None:
    evidence = new_evidence()
    evidence.commit(epoch=2)
    evidence.commit(epoch=1)
    assert "epoch 1 after epoch 2" in what(verify(await lines_of(export(evidence))))


async def test_a_first_link_that_names_one_before_it(new_evidence) -> None:
    evidence = new_evidence()
    evidence.commit()
    evidence.chain[0] = evidence.sealer.seal(
        writer="node-1", n=1, epoch=1, at_us=1, prev=b"x" * 32, leaves=b"", decisions=[]
    )
    assert "names a link before it" in what(verify(await lines_of(export(evidence))))


async def test_segments_that_are_not_what_was_sealed(evidence) -> None:
    lines = await lines_of(export(evidence, journal=True))
    at = next(i for i, line in enumerate(lines) if b'"line":"journal"' in line)
    doubled = lines[: at + 1] + lines[at:]
    assert "is in this export twice" in what(verify(doubled))
    edited = [*lines]
    edited[at] = lines[at].replace(b'"first_seq":0', b'"first_seq":1')
    assert f"line {at + 1}: segment 1 of run 41414141" in what(verify(edited))
    moved = [*lines[:at], *lines[at + 1 : at + 2], lines[at], *lines[at + 2 :]]
    assert "belongs to link 1, but stands after link 2" in what(verify(moved))
    header = lines[0].replace(b',"journal":true', b"")
    assert "says that no journal is in this export" in what(verify([header, *lines[1:]]))


async def test_a_run_in_another_spelling_is_refused(evidence) -> None:
    """Its digest would be the same, but a search for the run would not find it."""
    lines = await lines_of(export(evidence, journal=True))
    at = next(i for i, line in enumerate(lines) if b'"line":"journal"' in line)
    lines[at] = lines[at].replace(b"41414141-4141-", b"414141414141-")
    assert "not the text of a run id" in what(verify(lines))


async def test_another_runs_segment_in_the_proof_of_a_run(evidence, run_a: bytes) -> None:
    lines = await lines_of(export_run(evidence, run_a))
    everything = await lines_of(export(evidence, journal=True))
    foreign = next(line for line in everything if b'"line":"journal"' in line and b"42424242" in line)
    after = next(i for i, line in enumerate(lines) if b'"line":"seal","n":2' in line) + 1
    assert "in the proof of run 41414141" in what(verify([*lines[:after], foreign, *lines[after:]]))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"line":"seal"}', "cannot be read"),
        (b'{"line":"note","text":"all is well"}', "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"9" * 10_000, "cannot be read"),
        (
            b'{"line":"seal","n":36893488147419103232,"writer":"w","epoch":1,"at_us":1,"prev":"'
            + b"0" * 64
            + b'","hash":"'
            + b"0" * 64
            + b'","leaves":[],"decisions":[]}',
            "cannot be hashed",
        ),
        (
            b'{"line":"seal","n":-1,"writer":"w","epoch":1,"at_us":1,"prev":"'
            + b"0" * 64
            + b'","hash":"'
            + b"0" * 64
            + b'","leaves":["zz"],"decisions":{}}',
            "cannot be hashed",
        ),
        (b'{"line":"journal","n":5,"run":"../../etc/passwd","first_seq":0,"data":""}', "not the text of a run id"),
    ],
)
async def test_nonsense_is_a_problem_and_never_an_exception(evidence, line: bytes, says: str) -> None:
    lines = await lines_of(export(evidence, journal=True))
    assert says in what(verify([*lines, line]))


async def test_a_field_beside_what_is_hashed_is_refused(evidence) -> None:
    lines = await lines_of(export(evidence))
    lines[2] = lines[2].replace(b'{"line":"seal",', b'{"line":"seal","approved_by":"nobody",')
    assert "line 3: cannot be read" in what(verify(lines))


async def test_problems_are_bounded(evidence) -> None:
    verdict = verify(b"nonsense\n" for _ in range(100_000))
    assert len(verdict.problems) <= 101
    assert "stopped after 100" in verdict.text()


def test_a_line_without_end_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "endless"
    with path.open("wb") as file:
        file.truncate(MAX_LINE_BYTES + 10)
    with path.open("rb") as file:
        assert [len(line) for line in read_lines(file)] == [MAX_LINE_BYTES + 1, 9]
    with path.open("rb") as file:
        assert "longer than" in what(verify(read_lines(file)))


def test_a_line_that_no_verifier_would_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    line = decode_line(b'{"line":"journal","n":1,"run":"r","first_seq":0,"data":"AAAA"}')
    monkeypatch.setattr("rco.audit.lines.MAX_LINE_BYTES", 20)
    with pytest.raises(ValueError, match="no verifier would read"):
        encode_line(line)


# --- the command ---


async def test_the_command_by_itself(evidence, tmp_path: Path) -> None:
    """In a process of its own, which may load nothing of RCO but kit, errors and model, and no server or database."""
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(b"".join(await lines_of(export(evidence, journal=True))))
    probe = (
        "import sys\nfrom rco.audit.verify import main\nstatus = main(sys.argv[1:])\n"
        "watched = {'rco', 'sqlite3', 'aiohttp', 'jq', 'asyncio'}\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in watched))\n"
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", probe, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stdout
    loaded = done.stdout.splitlines()[-1]
    for name in ("store", "telemetry", "engine", "asyncio", "sqlite3", "aiohttp", "'jq"):
        assert name not in loaded


async def test_exit_statuses(evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = await lines_of(export(evidence))
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(b"".join(lines))
    head = evidence.chain[-1].hash.hex()
    assert main([str(path), "--expect-head", head]) == 0
    assert "note" not in capsys.readouterr().out
    assert main([str(path), "--expect-head", "00" * 32]) == 1
    assert main([str(path), "--complete"]) == 1
    capsys.readouterr()
    assert main([str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["head"] == head
    assert main([str(tmp_path / "absent")]) == 2
    assert "rco audit export" in capsys.readouterr().err


async def test_as_a_module(evidence, tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(b"".join(await lines_of(export(evidence)))[:-20])
    done = subprocess.run([sys.executable, "-m", verify_module.__name__, str(path)], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"NOT verified" in done.stdout

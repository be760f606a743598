"""One suite for every keeper of objects: memory, a folder, a bucket on a server that speaks S3's protocol."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.servers.s3 import S3Server

from rco.errors import ConfigInvalid, Misuse, NotFound, Overloaded, StoreError
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.objects import kernel_cache
from rco.objects.contract import CHUNK_BYTES, Objects, read
from rco.objects.folder import FolderObjects
from rco.objects.memory import MemoryObjects
from rco.objects.opening import open_objects
from rco.objects.options import ObjectOptions

KEY = "content/ab/abcdef"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


def bucket(server: S3Server, folder: Path, prefix: str, **changed: str) -> Objects:
    options = ObjectOptions(
        place=f"s3://{server.bucket}/{prefix}",
        endpoint=server.endpoint,
        **{"access_key_id": "env:KEY", "secret_access_key": "env:SECRET", **changed},
    )
    clock = SystemClock()
    return open_objects(options, folder, clock=clock, ids=Ids(clock), resolve=lambda _: "testing")


@pytest.fixture(params=["memory", "folder", "folder whose kernel has nothing", "s3"])
async def objects(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Objects]:
    clock = SystemClock()
    kept: Objects
    match request.param:
        case "memory":
            kept = MemoryObjects(clock, 64 << 20)
        case "folder whose kernel has nothing":
            monkeypatch.setattr(kernel_cache, "opened", lambda _: None)
            monkeypatch.setattr(kernel_cache, "piece", lambda *_: None)
            kept = FolderObjects(tmp_path / "objects", Ids(clock))
        case "folder":
            kept = FolderObjects(tmp_path / "objects", Ids(clock))
        case _:
            kept = bucket(request.getfixturevalue("s3"), tmp_path, f"tests/{tmp_path.name}")
    await kept.start()
    yield kept
    await kept.stop()
    await kept.stop()


async def put(objects: Objects, key: str, data: bytes, step: int = CHUNK_BYTES) -> None:
    intake = await objects.begin()
    for at in range(0, len(data), step):
        await intake.write(data[at : at + step])
    await intake.commit(key)


async def get(objects: Objects, key: str) -> list[bytes]:
    return [piece async for piece in read(objects, key)]


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
async def test_what_was_put_comes_out_in_pieces(objects: Objects, size: int) -> None:
    data = os.urandom(size)
    await put(objects, KEY, data, step=10_000)
    pieces = await get(objects, KEY)
    assert b"".join(pieces) == data
    assert all(len(piece) == CHUNK_BYTES for piece in pieces[:-1])
    seen = await objects.seen(KEY)
    assert seen is not None
    assert (seen.key, seen.size_bytes) == (KEY, size)
    assert abs(seen.put_us - SystemClock().now_us()) < 60_000_000


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 1])
async def test_what_is_put_at_once_comes_out_as_what_came_in_pieces(objects: Objects, size: int) -> None:
    data = os.urandom(size)
    await objects.put(KEY, data)
    pieces = await get(objects, KEY)
    assert b"".join(pieces) == data
    assert all(len(piece) == CHUNK_BYTES for piece in pieces[:-1])
    found = await objects.open(KEY)
    assert found is not None
    assert (found.seen, found.first) == (await objects.seen(KEY), data[:CHUNK_BYTES])
    await found.close()
    await found.close()
    await objects.put(KEY, b"another")
    assert await get(objects, KEY) == [b"another"]
    assert await objects.collect() == 0


async def test_many_put_at_the_same_time_are_all_there(objects: Objects) -> None:
    data = {f"content/{number % 7:02x}/{number:04x}": os.urandom(number) for number in range(60)}
    await asyncio.gather(*(objects.put(key, body) for key, body in data.items()))
    assert {key: b"".join(await get(objects, key)) for key in data} == data
    assert [seen.key for seen in await objects.listed("content/", "", 100)] == sorted(data)


async def test_many_put_together_are_all_there_and_replace_what_was(objects: Objects) -> None:
    data = {f"content/{number % 7:02x}/{number:04x}": os.urandom(number) for number in range(60)}
    await objects.put("content/03/0003", b"from before")
    await objects.put_all(list(data.items()))
    assert {key: b"".join(await get(objects, key)) for key in data} == data
    assert [seen.key for seen in await objects.listed("content/", "", 100)] == sorted(data)
    seen = await objects.seen("content/03/0003")
    await objects.put_all([("content/03/0003", b"and again")])
    assert await get(objects, "content/03/0003") == [b"and again"]
    assert await objects.seen("content/03/0003") != seen
    await objects.put_all([])
    assert await objects.collect() == 0
    with pytest.raises(Misuse):
        await objects.put_all([("content/aa/bb", b""), ("../secret", b"")])


async def test_more_than_one_part_of_an_upload(objects: Objects) -> None:
    data = os.urandom((11 << 20) + 17)
    await put(objects, KEY, data, step=1 << 20)
    assert b"".join(await get(objects, KEY)) == data


async def test_nothing_is_there_before_the_commit_nor_after_an_abort(objects: Objects) -> None:
    intake = await objects.begin()
    await intake.write(b"half of it")
    assert await objects.seen(KEY) is None
    assert await objects.listed("", "", 10) == []
    await intake.abort()
    await intake.abort()
    assert await objects.seen(KEY) is None
    with pytest.raises(NotFound):
        await get(objects, KEY)


async def test_a_second_put_replaces_the_first(objects: Objects) -> None:
    await put(objects, KEY, b"one")
    await put(objects, KEY, b"two!")
    assert await get(objects, KEY) == [b"two!"]
    assert [seen.size_bytes for seen in await objects.listed("content/", "", 10)] == [4]


async def test_what_is_deleted_is_gone(objects: Objects) -> None:
    await put(objects, KEY, b"one")
    assert await objects.delete(KEY)
    assert not await objects.delete(KEY)
    assert await objects.seen(KEY) is None
    with pytest.raises(NotFound):
        await get(objects, KEY)


async def test_lists_go_by_key_and_in_pages(objects: Objects) -> None:
    keys = sorted(["a/b", "a/b0/c", "a/b/c0", "a/c", "a/c-1", "b/a", "a-b/c", "a/b1"])
    # A folder cannot be a file as well: no key is the beginning of another one.
    keys.remove("a/b")
    for key in keys:
        await put(objects, key, key.encode())
    assert [seen.key for seen in await objects.listed("", "", 100)] == keys
    assert [seen.key for seen in await objects.listed("a/", "", 100)] == [key for key in keys if key.startswith("a/")]
    paged: list[str] = []
    while page := await objects.listed("a", paged[-1] if paged else "", 2):
        paged += [seen.key for seen in page]
    assert paged == [key for key in keys if key.startswith("a")]


@pytest.mark.parametrize(
    "key", ["", "one", "../up/x", "a/../b", "a//b", "/a/b", "a/b/", "A/b", "a/.b", "a/b\n", "a/b\0", "a/" + "b" * 600]
)
async def test_a_key_cannot_leave_its_place(objects: Objects, key: str) -> None:
    intake = await objects.begin()
    with pytest.raises(Misuse):
        await intake.commit(key)
    await intake.abort()
    with pytest.raises(Misuse):
        await objects.put(key, b"out")
    with pytest.raises(Misuse):
        await objects.seen(key)
    with pytest.raises(Misuse):
        await get(objects, key)
    with pytest.raises(Misuse):
        await objects.delete(key)


async def test_a_reader_that_is_thrown_away_leaves_nothing_behind(objects: Objects) -> None:
    await put(objects, KEY, os.urandom(4 * CHUNK_BYTES))
    pieces = read(objects, KEY)
    assert len(await anext(pieces)) == CHUNK_BYTES
    await pieces.aclose()  # type: ignore[attr-defined]
    assert await objects.delete(KEY)


async def test_memory_has_a_bound() -> None:
    kept = MemoryObjects(SystemClock(), 100)
    await put(kept, KEY, b"x" * 60)
    intake = await kept.begin()
    with pytest.raises(Overloaded):
        await intake.write(b"x" * 41)
    await intake.abort()
    await put(kept, "content/aa/b", b"x" * 40)
    await put(kept, "content/aa/b", b"")
    await kept.delete(KEY)
    await put(kept, KEY, b"x" * 100)


async def test_a_folder_is_its_owners_alone_and_forgets_what_was_cut_off(tmp_path: Path) -> None:
    clock = SystemClock()
    kept = FolderObjects(tmp_path / "objects", Ids(clock))
    await kept.start()
    intake = await kept.begin()
    await intake.write(b"cut off")
    (left,) = (tmp_path / "objects/.incoming").iterdir()
    assert left.stat().st_mode & 0o777 == 0o600
    await put(kept, KEY, b"whole")
    for folder in (tmp_path / "objects", tmp_path / "objects/content/ab"):
        assert folder.stat().st_mode & 0o777 == 0o700
    await kept.start()
    assert left.exists(), "it is still coming in"
    dead = left.with_name("of-a-process-that-is-gone")
    dead.write_bytes(b"cut off")
    assert await kept.collect() == 1
    assert not dead.exists()
    await intake.write(b" nearly")
    await intake.commit("content/ac/late")
    assert await get(kept, "content/ac/late") == [b"cut off nearly"]
    assert await kept.collect() == 0
    assert await get(kept, KEY) == [b"whole"]


async def test_what_another_process_writes_is_left_alone_until_it_dies(tmp_path: Path) -> None:
    clock = SystemClock()
    kept = FolderObjects(tmp_path / "objects", Ids(clock))
    await kept.start()
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from rco.kit.ids import Ids\n"
        "from rco.objects.folder import FolderObjects\n"
        "async def main():\n"
        f"    objects = FolderObjects(Path({str(tmp_path / 'objects')!r}), Ids())\n"
        "    intake = await objects.begin()\n"
        "    await intake.write(b'half')\n"
        "    print('written', flush=True)\n"
        "    sys.stdin.read()\n"
        "asyncio.run(main())\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == b"written\n"
    assert await kept.collect() == 0
    other.kill()
    other.wait()
    assert await kept.collect() == 1
    assert list((tmp_path / "objects/.incoming").iterdir()) == []
    other.stdin.close()
    other.stdout.close()


async def test_collecting_takes_nothing_that_was_not_cut_off(objects: Objects) -> None:
    await put(objects, KEY, b"whole")
    intake = await objects.begin()
    await intake.write(b"still ")
    assert await objects.collect() == 0
    await intake.write(b"coming")
    await intake.commit("content/ac/late")
    assert await objects.collect() == 0
    assert await get(objects, KEY) == [b"whole"]
    assert await get(objects, "content/ac/late") == [b"still coming"]


class Synced:
    """Every fsync of a folder of objects, by path; ``broken`` are paths whose fsync fails."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        self.broken = ""
        real = os.fsync

        def fsync(handle: int) -> None:
            path = str(Path(f"/proc/self/fd/{handle}").readlink()).removeprefix(str(top))
            self.paths.append(path)
            if self.broken and path.endswith(self.broken):
                raise OSError(5, "Input/output error")
            real(handle)

        monkeypatch.setattr("rco.objects.folder.os.fsync", fsync)


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_folder_syncs_the_file_and_each_folder_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    clock = SystemClock()
    kept = FolderObjects(tmp_path / "objects", Ids(clock))
    await kept.start()
    synced = Synced(tmp_path, monkeypatch)
    for key in (KEY, "content/ab/other"):
        await (kept.put(key, b"whole") if at_once else put(kept, key, b"whole"))
    above = ["/objects", "/objects/content"]
    assert [path for path in synced.paths if ".incoming" not in path] == [*above, *["/objects/content/ab"] * 2]
    assert [".incoming" in path for path in synced.paths] == [True, False, False, False, True, False]


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_folder_that_another_process_made_is_made_durable_before_anything_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    kept = FolderObjects(tmp_path / "objects", Ids(SystemClock()))
    await kept.start()
    # As a process leaves it that is about to sync the folder above.
    (tmp_path / "objects/content/ab").mkdir(parents=True)
    synced = Synced(tmp_path, monkeypatch)
    await (kept.put(KEY, b"whole") if at_once else put(kept, KEY, b"whole"))
    assert synced.paths[1:] == ["/objects", "/objects/content", "/objects/content/ab"]


async def test_of_a_group_only_what_is_durable_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = FolderObjects(tmp_path / "objects", Ids(SystemClock()))
    await kept.start()
    for folder in ("ab", "ac", "ad"):
        await kept.put(f"content/{folder}/first", b"first")
    synced = Synced(tmp_path, monkeypatch)
    synced.broken = "/content/ac"
    keys = [f"content/{folder}/{number}" for number in range(5) for folder in ("ab", "ac", "ad")]
    came = await asyncio.gather(*(kept.put(key, key.encode()) for key in keys), return_exceptions=True)
    assert [type(one) for one in came] == [StoreError if "/ac/" in key else type(None) for key in keys]
    # What failed before it was whole leaves nothing behind either.
    synced.broken = ""
    monkeypatch.setattr("rco.objects.putting.write", lambda *_: os.write(-1, b""))
    with pytest.raises(StoreError):
        await kept.put(KEY, b"never")
    assert list((tmp_path / "objects/.incoming").iterdir()) == []
    assert await kept.open(KEY) is None


async def test_a_folder_that_somebody_takes_away_is_made_again(tmp_path: Path) -> None:
    kept = FolderObjects(tmp_path / "objects", Ids(SystemClock()))
    await kept.start()
    await kept.put(KEY, b"one")
    shutil.rmtree(tmp_path / "objects/content")
    await kept.put(KEY, b"two")
    assert await get(kept, KEY) == [b"two"]


async def test_a_bucket_that_is_away_says_so_without_a_secret(s3: S3Server, tmp_path: Path) -> None:
    absent = open_objects(
        ObjectOptions(place="s3://no-such-bucket", endpoint=s3.endpoint, access_key_id="a", secret_access_key="b"),
        tmp_path,
        clock=SystemClock(),
        ids=Ids(),
        resolve=lambda _: "very-secret",
    )
    with pytest.raises(StoreError) as raised:
        await absent.start()
    assert "very-secret" not in str(raised.value)


async def test_a_place_that_cannot_be_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = FolderObjects(tmp_path / "file" / "objects", Ids())
    with pytest.raises(ConfigInvalid):
        await kept.start()


async def test_a_spool_is_read_back_as_often_as_it_is_asked_and_leaves_nothing(objects: Objects) -> None:
    data = os.urandom(3 * CHUNK_BYTES + 17)
    spool = await objects.spool()
    for at in range(0, len(data), 100_000):
        await spool.write(data[at : at + 100_000])
    assert spool.size_bytes == len(data)
    for _ in range(2):
        pieces = [piece async for piece in spool.read()]
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) <= CHUNK_BYTES
    assert await objects.listed("", "", 10) == []
    await spool.close()
    await spool.close()
    assert await objects.collect() == 0

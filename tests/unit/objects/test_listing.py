"""A page of keys is what a look at all of them would give, and looks at no more folders than it has to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rco.objects.listing import walk

words = st.sampled_from(["a", "ab", "a-b", "a_", "b", "0", "z"])
keys = st.lists(words, min_size=2, max_size=4).map("/".join)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    some=st.sets(keys, max_size=12), prefix=st.sampled_from(["", "a", "a/", "ab/", "a/a", "b/0/", "zz"]), data=st.data()
)
def test_it_is_what_a_look_at_all_gives(
    tmp_path_factory: pytest.TempPathFactory, some: set[str], prefix: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("objects")
    # A key that another one goes on from would be a file and a folder.
    there = {key for key in some if not any(other.startswith(f"{key}/") for other in some)}
    for key in there:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / ".incoming").mkdir()
    (folder / ".incoming" / "a").touch()
    after = data.draw(st.sampled_from(["", *sorted(there), "a/", "b", "zzz"]))
    wanted = sorted(key for key in there if key.startswith(prefix) and key > after)
    assert list(walk(folder, prefix, after)) == wanted


def test_folders_that_hold_none_of_it_are_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in range(16):
        folder = tmp_path / "content" / f"{one:02x}"
        folder.mkdir(parents=True)
        (folder / "key").touch()
    (tmp_path / "payloads" / "x").mkdir(parents=True)
    looked: list[str] = []
    iterdir = Path.iterdir

    def looking(path: Path):
        looked.append(path.relative_to(tmp_path).as_posix())
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", looking)
    assert list(walk(tmp_path, "content/", "content/0d/key")) == ["content/0e/key", "content/0f/key"]
    assert looked == [".", "content", "content/0d", "content/0e", "content/0f"]
    looked.clear()
    assert list(walk(tmp_path, "content/03/", "")) == ["content/03/key"]
    assert looked == [".", "content", "content/03"]

"""Several versions of an application beside each other, each from its own folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rco.errors import ConfigInvalid
from rco.workflow.versions import AUTO, load_versions

APP = """
from rco.workflow import Context, workflow
from words import WORD

@workflow
async def say(ctx: Context, given):
    return WORD
"""


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch):
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def app(folder: Path, word: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "words.py").write_text(f"WORD = {word!r}\n")
    (folder / "app.py").write_text(APP)
    return str(folder / "app.py")


def word_of(application) -> str:
    return application.workflows[0].function.__globals__["WORD"]


def test_each_version_has_the_modules_of_its_own_folder(tmp_path: Path) -> None:
    apps = {name: app(tmp_path / name, name) for name in ("v1", "v2", "v3")}
    versions = load_versions("", "v2", apps)
    assert {name: word_of(one) for name, one in versions.pool.items()} == {"v1": "v1", "v2": "v2", "v3": "v3"}
    assert word_of(versions.current) == "v2"
    assert versions.name == "v2"
    assert sys.modules["words"].WORD == "v2"
    assert len({id(one.workflows[0]) for one in versions.pool.values()}) == 3


def test_programs_are_pinned_to_their_version(tmp_path: Path) -> None:
    apps = {name: app(tmp_path / name, name) for name in ("v1", "v2")}
    versions = load_versions("", "v1", apps)
    pool = versions.pooled(None, None)
    assert {pin: [one.version for one in programs] for pin, programs in pool.items()} == {
        "@v1": ["@v1"],
        "@v2": ["@v2"],
    }
    assert [one.version for one in versions.programs(None, None)] == ["@v1"]


def test_a_digest_changes_with_every_source_and_not_with_the_folder(tmp_path: Path) -> None:
    def digest(folder: str, word: str) -> str:
        # As in a process of its own.
        sys.modules.pop("words", None)
        return load_versions(app(tmp_path / folder, word), "v", {}).digests["v"]

    first = digest("a", "x")
    assert digest("b", "x") == first
    assert digest("b", "y") != first


def test_auto_names_a_version_by_its_sources(tmp_path: Path) -> None:
    versions = load_versions(app(tmp_path / "a", "x"), AUTO, {})
    assert list(versions.pool) == [versions.current.digest[:12]] == [versions.name]


def test_without_a_version_there_is_no_pool(tmp_path: Path) -> None:
    versions = load_versions(app(tmp_path / "a", "x"), "", {})
    assert versions.pooled(None, None) is None
    assert not versions.programs(None, None)[0].version.startswith("@")
    assert load_versions("", "", {}).programs(None, None) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("app.py", "v1", {"v1": "x.py"}), "both given"),
        (("", "v3", {"v1": "x.py"}), "not among apps"),
        (("", "", {"v1": "x.py"}), "not among apps"),
        (("", "v1", {}), "without app"),
        (("app.py", "a b", {}), "cannot be the name"),
        (("app.py", "@v1", {}), "cannot be the name"),
        (("app.py", "v" * 65, {}), "cannot be the name"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_a_cure(given, said) -> None:
    with pytest.raises(ConfigInvalid, match=said) as told:
        load_versions(*given)
    assert told.value.cure

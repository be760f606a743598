"""Migrations: planned, applied once, undone one step, refused when they are of another time."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from rco.errors import SchemaOutdated, StoreError
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.store import migrate
from rco.store.migrate import Migration, Status
from rco.store.migration import known
from rco.store.sqlite import SqliteKeeper

ROOT = Path(__file__).parents[3]


def schema(path: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    connection.close()
    return found


def test_up_down_up_gives_the_same_schema(tmp_path):
    path = tmp_path / "a" / "rco.sqlite"
    versions = migrate.up(path)
    assert versions == [one.version for one in migrate.known()]
    assert migrate.up(path) == []
    first = schema(path)
    assert {"run", "closed_run", "journal", "seal", "lease"} <= {row[1] for row in first}
    while (undone := migrate.down(path)) is not None:
        assert undone == versions.pop()
    assert versions == []
    assert {row[1] for row in schema(path)} == {"schema_migrations", "sqlite_autoindex_schema_migrations_1"}
    migrate.up(path)
    assert schema(path) == first


STAGED = "20261129160000"


def test_the_way_back_is_refused_while_content_stands_nowhere_else(tmp_path):
    path = tmp_path / "rco.sqlite"
    migrate.up(path)
    while max(one.version for one in migrate.status(path) if one.applied) > STAGED:
        migrate.down(path)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO staged_object VALUES ('content/aa/bb', 1, x'00')")
    with pytest.raises((StoreError, sqlite3.Error), match="content_waits_to_be_moved"):
        migrate.down(path)
    connection.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM staged_object").fetchone() == (1,)
    with connection:
        connection.execute("DELETE FROM staged_object")
    connection.close()
    assert migrate.down(path) == STAGED
    assert STAGED in migrate.up(path)


def test_the_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "rco.sqlite"
    migrate.up(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_status_tells_what_is_applied(tmp_path):
    path = tmp_path / "rco.sqlite"
    names = [(one.version, one.name) for one in migrate.known()]
    assert migrate.status(path) == [Status(version, name, False) for version, name in names]
    assert not path.exists()
    migrate.up(path)
    assert migrate.status(path) == [Status(version, name, True) for version, name in names]
    assert migrate.down(tmp_path / "nothing") is None


def test_planning_is_in_order_and_refuses_what_it_does_not_know():
    migrations = [Migration("1", "a", "", ""), Migration("2", "b", "", "")]
    assert migrate.pending(migrations, set()) == migrations
    assert migrate.pending(migrations, {"1"}) == migrations[1:]
    assert migrate.pending(migrations, {"2"}) == migrations[:1]
    with pytest.raises(SchemaOutdated, match="version 3 is unknown"):
        migrate.pending(migrations, {"1", "2", "3"})


def test_a_newer_schema_is_refused_by_every_verb(tmp_path):
    path = tmp_path / "rco.sqlite"
    migrate.up(path)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES ('99990101000000')")
    connection.close()
    before = schema(path)
    for verb in (migrate.up, migrate.down):
        with pytest.raises(SchemaOutdated, match="newer"):
            verb(path)
    assert schema(path) == before
    assert migrate.status(path)[-1] == Status("99990101000000", "", True)


async def test_a_keeper_does_not_start_on_a_schema_that_is_not_its_own(tmp_path):
    path = tmp_path / "rco.sqlite"

    def keeper() -> SqliteKeeper:
        return SqliteKeeper(path, clock=SystemClock(), ids=Ids(), sealer=None, node="n")  # type: ignore[arg-type]

    with pytest.raises(SchemaOutdated, match="Run `rco migrate`"):
        await keeper().start()
    migrate.up(path)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES ('99990101000000')")
    connection.close()
    with pytest.raises(SchemaOutdated, match="newer"):
        await keeper().start()
    # The refusal holds nothing: the same file can be put right and opened.
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = '99990101000000'")
    connection.close()
    last = keeper()
    await last.start()
    await last.stop()


def test_a_migration_that_fails_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "rco.sqlite"
    migrate.up(path)
    before = schema(path)
    broken = Migration("99990101000000", "broken", "CREATE TABLE half (a);\nCREATE TABLE run (a);", "")
    known = migrate.known()
    monkeypatch.setattr(migrate, "known", lambda: [*known, broken])
    with pytest.raises(StoreError, match="99990101000000"):
        migrate.up(path)
    assert schema(path) == before
    assert migrate.status(path)[-1] == Status("99990101000000", "broken", False)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "rco.sqlite"
    path.write_text("I am a letter to a friend, and long enough to be read as a page. " * 20)
    with pytest.raises(StoreError, match=r"rco\.sqlite"):
        migrate.up(path)
    with pytest.raises(StoreError, match="cannot be made"):
        migrate.up(path / "below")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("first.sql", "-- migrate:up\n-- migrate:down\n"),
        ("1_a.sql", "CREATE TABLE a (b);"),
        ("1_a.sql", "-- migrate:down\n-- migrate:up\n"),
        ("1_a.sql", "-- migrate:up\n-- migrate:up\n-- migrate:down\n"),
        ("1_a.sql", "-- migrate:up transaction:false\n-- migrate:down\n"),
    ],
)
def test_a_file_that_is_no_migration_is_refused(name, text):
    with pytest.raises(StoreError):
        migrate.parse(name, text)


def test_statements_with_semicolons_inside_are_kept_whole(tmp_path, monkeypatch):
    text = (
        "-- migrate:up\n"
        "CREATE TABLE a (b TEXT DEFAULT 'x;y');\n"
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a WHERE b = ';';\n  SELECT 1;\nEND;\n"
        "-- a comment; with one\nINSERT INTO a DEFAULT VALUES\n"
        "-- migrate:down\nDROP TABLE a;\n"
    )
    monkeypatch.setattr(migrate, "known", lambda: [migrate.parse("1_a.sql", text)])
    path = tmp_path / "x.sqlite"
    assert migrate.up(path) == ["1"]
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT b FROM a").fetchall() == [("x;y",)]
    connection.close()


def test_the_folder_for_dbmate_is_the_same_folder():
    link = ROOT / "db" / "migrations"
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == (ROOT / "src" / "rco" / "store" / "migrations").resolve()


def test_two_migrations_of_one_version_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "sqlite"
    folder.mkdir()
    for name in ("20260101000000_one.sql", "20260101000000_two.sql"):
        (folder / name).write_text("-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 1;\n")
    monkeypatch.setattr("rco.store.migration.resources.files", lambda _: tmp_path)
    with pytest.raises(StoreError, match="one and two of sqlite are both version 20260101000000"):
        known("sqlite")

"""What kind of store an address means, and how much of it is shown."""

from __future__ import annotations

import pytest

from rco.errors import ConfigInvalid
from rco.store.address import is_postgres, server_of, without_password


@pytest.mark.parametrize("where", ["postgresql://u:hush@h/db", "postgres://h/db"])
def test_an_address_of_postgresql(where: str) -> None:
    assert is_postgres(where)


@pytest.mark.parametrize("where", [".rco/rco.db", "/var/lib/rco.db", "rco.db", ":memory:", "a:b.db", ""])
def test_a_path(where: str) -> None:
    assert not is_postgres(where)


@pytest.mark.parametrize(
    "where",
    ["mysql://u:hush@h/db", "postgressql://u:hush@h/db", "postgresql:/u:hush@h/db", "postgresql+asyncpg://u:hush@h/db"],
)
def test_another_address_is_no_path_and_its_password_is_not_told(where: str) -> None:
    with pytest.raises(ConfigInvalid) as told:
        is_postgres(where)
    assert "hush" not in f"{told.value}"


def test_what_may_be_shown() -> None:
    assert without_password("postgresql://u:hu@sh@h:1/db") == "postgresql://u@h:1/db"
    assert without_password("postgresql:///db?user=u&password=hush&x=1") == "postgresql:///db?user=u&password=...&x=1"
    assert without_password(".rco/rco.db") == ".rco/rco.db"
    assert server_of("postgresql://u:hush@h:1/db?password=hush") == "h:1/db"
    assert server_of("postgresql://u@h1:1,h2:2/db") == "h1:1,h2:2/db"

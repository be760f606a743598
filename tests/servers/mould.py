"""A database that is made as it was when it was made: so that the next test need not wait for a new one.

To copy a template costs hundreds of files, and to drop the copy as many: that was most of what a test on PostgreSQL
took. Here the rows go that the template has not, and the tables (partitions, mostly) with them. What was changed
otherwise, in any object of the schema or in a setting of the database, is not mended but told: it is to be dropped.
"""

from __future__ import annotations

import asyncpg
import msgspec

__all__ = ["Mould", "restored", "taken"]

_OWN = 16384
"""The first oid that is not of PostgreSQL itself. A copy has those of its template."""
_GROWN_BYTES = 16 << 20
"""A database that grew by more is cheaper to drop than to clear."""
_SHAPE = f"""
WITH own AS (SELECT {_OWN}::oid AS first)
SELECT md5(string_agg(part, E'\\n' ORDER BY part)) FROM (
    SELECT concat_ws(' ', 'class', oid, relname, relnamespace, relowner, relkind, relpersistence, reltablespace,
        relispartition, relrowsecurity, relacl, reloptions) AS part FROM pg_class, own WHERE oid >= first
    UNION ALL SELECT concat_ws(' ', 'attribute', attrelid, attnum, attname, atttypid, attnotnull, attisdropped, attacl,
        attstattarget) FROM pg_attribute, own WHERE attrelid >= first
    UNION ALL SELECT concat_ws(' ', 'default', adrelid, adnum, adbin) FROM pg_attrdef, own WHERE adrelid >= first
    UNION ALL SELECT concat_ws(' ', 'index', indexrelid, indisvalid, indisready) FROM pg_index, own
        WHERE indexrelid >= first
    UNION ALL SELECT concat_ws(' ', 'constraint', oid, conname, convalidated) FROM pg_constraint, own
        WHERE oid >= first
    UNION ALL SELECT concat_ws(' ', 'trigger', oid, tgname, tgenabled) FROM pg_trigger, own WHERE oid >= first
    UNION ALL SELECT concat_ws(' ', 'rule', oid, rulename) FROM pg_rewrite, own WHERE oid >= first
    UNION ALL SELECT concat_ws(' ', 'policy', oid, polname) FROM pg_policy
    UNION ALL SELECT concat_ws(' ', 'proc', oid, proname, proowner, proacl, prosrc) FROM pg_proc, own WHERE oid >= first
    UNION ALL SELECT concat_ws(' ', 'type', oid, typname) FROM pg_type, own WHERE oid >= first
    UNION ALL SELECT concat_ws(' ', 'enum', enumtypid, enumlabel) FROM pg_enum, own WHERE enumtypid >= first
    UNION ALL SELECT concat_ws(' ', 'namespace', oid, nspname, nspacl) FROM pg_namespace WHERE nspname !~ 'temp_'
    UNION ALL SELECT concat_ws(' ', 'extension', oid, extname, extversion) FROM pg_extension
    UNION ALL SELECT concat_ws(' ', 'publication', oid, pubname) FROM pg_publication
    UNION ALL SELECT concat_ws(' ', 'privileges', oid, defaclacl) FROM pg_default_acl
    UNION ALL SELECT concat_ws(' ', 'event trigger', oid, evtname) FROM pg_event_trigger
    UNION ALL SELECT concat_ws(' ', 'object', oid) FROM pg_largeobject_metadata
    UNION ALL SELECT concat_ws(' ', 'setting', setrole, setconfig) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL SELECT concat_ws(' ', 'database', datdba, datconnlimit, datacl) FROM pg_database
        WHERE datname = current_database()
) AS parts"""
_TABLES = f"""
SELECT c.oid, c.oid::regclass::text AS name FROM pg_class c
WHERE c.oid >= {_OWN} AND relkind IN ('r', 'p') AND relpersistence <> 't' ORDER BY c.oid"""
# Autovacuum counts when it likes, also in what is free. Who plans a statement anew finds nothing counted.
_UNCOUNTED = [
    "SET allow_system_table_mods = on",
    f"DELETE FROM pg_statistic WHERE starelid >= {_OWN}",
    f"UPDATE pg_class SET reltuples = -1 WHERE oid >= {_OWN} AND relkind = 'r' AND reltuples <> -1",
]
_SEQUENCES = f"SELECT oid::regclass::text AS name FROM pg_class WHERE oid >= {_OWN} AND relkind = 'S' ORDER BY oid"
_ALONE = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


class Mould(msgspec.Struct, frozen=True):
    """``tables``: the oids of what it has; ``clear``: what leaves in them what they held, and nothing else."""

    shape: str
    tables: frozenset[int]
    size_bytes: int
    clear: str


async def taken(connection: asyncpg.Connection) -> Mould:
    """The mould of the database of ``connection``."""
    tables = await connection.fetch(_TABLES)
    clear = ["SET session_replication_role = replica"]  # no trigger and no foreign key has a say
    for name in (table["name"] for table in tables):
        clear.append(f"DELETE FROM ONLY {name}")
        rows = await connection.fetchval(f"SELECT json_agg(a_row_of_it) FROM ONLY {name} AS a_row_of_it")
        if rows:
            quoted = rows.replace("'", "''")
            clear.append(f"INSERT INTO {name} SELECT * FROM json_populate_recordset(NULL::{name}, '{quoted}')")
    for row in await connection.fetch(_SEQUENCES):
        value, called = await connection.fetchrow(f"SELECT last_value, is_called FROM {row['name']}")
        clear.append(f"SELECT setval('{row['name']}', {value}, {called})")
    return Mould(
        shape=await connection.fetchval(_SHAPE),
        tables=frozenset(table["oid"] for table in tables),
        size_bytes=await connection.fetchval("SELECT pg_database_size(current_database())"),
        clear="; ".join([*clear, *_UNCOUNTED, "SELECT pg_stat_reset()"]),
    )


async def restored(connection: asyncpg.Connection, mould: Mould) -> bool:
    """Make its database as ``mould`` says. False when more was changed than rows and new tables, or it grew large. Who
    else is connected is thrown out first."""
    await connection.execute(_ALONE)
    new = [table["name"] for table in await connection.fetch(_TABLES) if table["oid"] not in mould.tables]
    if new:
        await connection.execute(f"DROP TABLE {', '.join(new)} CASCADE")
    shape, size_bytes = await connection.fetchrow(f"SELECT ({_SHAPE}), pg_database_size(current_database())")
    if shape != mould.shape or size_bytes > mould.size_bytes + _GROWN_BYTES:
        return False
    await connection.execute(mould.clear)
    return True

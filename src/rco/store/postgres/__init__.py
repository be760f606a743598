"""The PostgreSQL keeper: the store of many nodes."""

from rco.store.postgres.keeper import PostgresKeeper
from rco.store.postgres.options import PostgresOptions

__all__ = ["PostgresKeeper", "PostgresOptions"]

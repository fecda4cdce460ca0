"""What a PostgreSQL server says of itself: how it is set up, who else is there, and what stands between it and us. Facts; judges nothing."""

from typing import Any

import msgspec

from farebox.clock import wall_clock
from farebox.store.postgres_connection import PostgresReads

_SETTINGS = """SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'server_version_num', 'fsync', 'full_page_writes',
  'data_checksums', 'synchronous_commit', 'synchronous_standby_names', 'autovacuum', 'max_connections', 'superuser_reserved_connections')"""
_STANDBYS = "SELECT coalesce(sync_state, 'unknown') FROM pg_stat_replication"
_ABOUT = """SELECT
  (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  (SELECT max(age(datfrozenxid)) FROM pg_database),
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'
     AND state_change < clock_timestamp() - interval '60 s'),
  (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()),
  to_regclass('migrations') IS NOT NULL,
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"""
_APPLIED = "SELECT number, name FROM migrations ORDER BY number"
_SERVED_BY = "SELECT pg_backend_pid()"


class Facts(msgspec.Struct, frozen=True):
    """A server, as this role sees it."""

    settings: dict[str, str]
    standbys: list[str]
    """How each standby that is connected takes part in commits: `sync`, `quorum`, `potential`, `async`, or `unknown` to this role."""
    pooler: str
    """`none`; or `transactions` where it gives each transaction another connection, `sessions` where that was not seen."""
    superuser: bool
    transactions_age: int
    connections: int
    idle_in_transaction: int
    encrypted: bool | None
    """None behind a pooler: what is encrypted between it and the server says nothing of us."""
    schema: dict[int, str]
    """The schema changes that were made here: none where there is no ledger."""
    clock_ahead_us: int


def facts(url: str) -> Facts:
    """Asks. Raises LedgerUnavailable."""
    first, second = PostgresReads(url), PostgresReads(url)
    try:
        settings: dict[str, str] = {name: setting for name, setting in first.select(_SETTINGS, {})}  # noqa: C416 - records are no pairs to mypy
        standbys = [str(state) for (state,) in first.select(_STANDBYS, {})]
        began = wall_clock()
        superuser, age, connections, idle, encrypted, is_there, now = first.select(_ABOUT, {})[0]
        ended = wall_clock()
        schema = {int(number): str(name) for number, name in first.select(_APPLIED, {})} if is_there else {}
        pooler = _pooler(first, second)
    finally:
        first.close()
        second.close()
    return Facts(
        settings=settings,
        standbys=standbys,
        pooler=pooler,
        superuser=bool(superuser),
        transactions_age=int(age),
        connections=int(connections),
        idle_in_transaction=int(idle),
        encrypted=bool(encrypted) if pooler == "none" else None,
        schema=schema,
        clock_ahead_us=int(now) - (began + ended) // 2,
    )


def _pooler(first: PostgresReads, second: PostgresReads) -> str:
    """A pooler says a number of its own for the process that serves a connection; one that lends processes out by the transaction has two
    connections that are idle served by the same.
    """
    behind = _served_by(first)
    if behind == first.connected().get_server_pid():
        return "none"
    return "transactions" if _served_by(second) == behind else "sessions"


def _served_by(db: PostgresReads) -> Any:
    return db.select(_SERVED_BY, {})[0][0]

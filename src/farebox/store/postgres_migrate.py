"""Schema changes on PostgreSQL: as `migrate.py`, but all in one transaction, and one process at a time."""

from farebox.store.migrate import missing
from farebox.store.postgres_connection import PostgresDatabase

_BEGIN = "BEGIN; SET LOCAL lock_timeout = '30s'; SELECT pg_advisory_xact_lock(7381942205)"
_TABLE = (
    'CREATE TABLE IF NOT EXISTS migrations (number bigint PRIMARY KEY, name text COLLATE "C" NOT NULL, '
    'checksum text COLLATE "C" NOT NULL, applied_at bigint NOT NULL)'
)
_APPLIED = """INSERT INTO migrations SELECT :number::bigint, :name::text, :checksum::text,
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"""


def migrate(db: PostgresDatabase) -> list[str]:
    """Applies what is missing and returns its names. Refuses a store that a newer version made, or whose history differs (SettingsError).

    Other processes may go on writing: a change waits for what it alters, for a while, and then fails whole.
    """
    begin(db)
    try:
        done = apply(db)
    except BaseException:
        db.drop()
        raise
    db.script("COMMIT")
    return done


def begin(db: PostgresDatabase) -> None:
    """Begins a transaction in which this process alone changes the schema."""
    db.script(_BEGIN)


def apply(db: PostgresDatabase, through: int | None = None) -> list[str]:
    """The same (up to a number) within a transaction that `begin` began."""
    db.script(_TABLE)
    applied = {row[0]: row[1] for row in db.select("SELECT number, checksum FROM migrations", {})}
    done = []
    for number, name, text, checksum in missing("postgres", applied, through):
        db.script(text)
        db.select(_APPLIED, {"number": number, "name": name, "checksum": checksum})
        done.append(name)
    return done

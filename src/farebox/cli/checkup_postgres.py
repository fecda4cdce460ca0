"""What `farebox doctor` makes of a PostgreSQL server, one function a thing. Judges what `store/postgres_health.py` reads."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from farebox.cli.findings import Finding
from farebox.clock import US_PER_S
from farebox.settings import Settings, is_loopback
from farebox.store.database import shown
from farebox.store.statements import migrations

if TYPE_CHECKING:
    from farebox.store.postgres_health import Facts

_VERSION_MIN = 150_000
_CLOCK_LOOK_US = 2 * US_PER_S
_CLOCK_WRONG_US = 60 * US_PER_S
_AGE_MAX = 1_000_000_000
"""Transactions since the oldest row was frozen: at twice as many the server stops."""
_CONNECTIONS_PER_WORKER = 10
_CONNECTIONS_OF_OTHERS = 5


def server(settings: Settings, facts: "Facts") -> Iterator[Finding]:
    """All that is to say of the server, in the order that a person would fix it."""
    yield _version(facts)
    yield from _durability(facts)
    yield _standby(facts)
    yield _pooler(facts)
    yield _clock(facts)
    yield _connections(settings, facts)
    yield from _housekeeping(facts)
    yield _role(facts)
    yield _encryption(settings, facts)
    yield schema(settings, facts)


def _version(facts: "Facts") -> Finding:
    version = facts.settings["server_version"]
    if int(facts.settings["server_version_num"]) < _VERSION_MIN:
        return Finding("server", "look", f"PostgreSQL {version}: farebox is tested from 15 on")
    return Finding("server", "fine", f"PostgreSQL {version}")


def _durability(facts: "Facts") -> Iterator[Finding]:
    if facts.settings["fsync"] != "on":
        yield Finding("fsync", "wrong", "fsync is off: a power cut can lose every charge, and damage the database")
    elif facts.settings["full_page_writes"] != "on":
        yield Finding("fsync", "wrong", "full_page_writes is off: a power cut can damage the database")
    else:
        default = facts.settings["synchronous_commit"]
        yield Finding("fsync", "fine", f"on; the ledger commits with synchronous_commit = on (the server's default is {default})")
    if facts.settings["data_checksums"] == "on":
        yield Finding("checksums", "fine", "a page that the disk damaged is noticed")
    else:
        yield Finding("checksums", "look", "data_checksums is off: a page that the disk damaged is not noticed")


def _standby(facts: "Facts") -> Finding:
    waited_for = facts.settings["synchronous_standby_names"]
    if waited_for and not facts.standbys:
        return Finding("standby", "wrong", f"commits wait for a standby ({waited_for}), and none is connected")
    if waited_for:
        return Finding("standby", "fine", f"{len(facts.standbys)} connected; commits wait for {waited_for}")
    if facts.standbys:
        return Finding("standby", "look", f"{len(facts.standbys)} connected, and no commit waits for it: after a switch the last are gone")
    return Finding("standby", "look", "none: this server's disk is all there is (a service may copy it below PostgreSQL)")


def _pooler(facts: "Facts") -> Finding:
    if facts.pooler == "transactions":
        return Finding("pooler", "fine", "one that lends connections by the transaction: it works; statements are not kept on connections")
    if facts.pooler == "sessions":
        return Finding("pooler", "fine", "there is one; it is not seen to lend connections by the transaction")
    return Finding("pooler", "fine", "none")


def _clock(facts: "Facts") -> Finding:
    """The database's clock is the ledger's. The machine's own is told to callers: when to come again, when a window renews."""
    ahead, off = facts.clock_ahead_us, abs(facts.clock_ahead_us)
    says = (
        f"the database's is {off // US_PER_S} s {'ahead of' if ahead > 0 else 'behind'} this machine's; the ledger goes by the database's"
    )
    state = "wrong" if off > _CLOCK_WRONG_US else "look"
    if off > _CLOCK_LOOK_US:
        return Finding("clock", state, says)  # type: ignore[arg-type]  # one of the two above
    return Finding("clock", "fine", "the database's and this machine's agree")


def _connections(settings: Settings, facts: "Facts") -> Finding:
    room = int(facts.settings["max_connections"]) - int(facts.settings["superuser_reserved_connections"])
    needed = settings.server.workers * _CONNECTIONS_PER_WORKER + _CONNECTIONS_OF_OTHERS
    says = f"{facts.connections} of {room} in use"
    if facts.pooler == "none" and room < needed:
        return Finding("connections", "look", f"{says}; {settings.server.workers} workers may need {needed}")
    return Finding("connections", "fine", says)


def _housekeeping(facts: "Facts") -> Iterator[Finding]:
    if facts.settings["autovacuum"] != "on":
        yield Finding("vacuum", "wrong", "autovacuum is off: the tables that every call changes grow without end")
    elif facts.transactions_age > _AGE_MAX:
        yield Finding("vacuum", "look", f"{facts.transactions_age:,} transactions since the oldest row was frozen: vacuum falls behind")
    else:
        yield Finding("vacuum", "fine", "autovacuum is on")
    if facts.idle_in_transaction:
        number = facts.idle_in_transaction
        yield Finding("idle", "look", f"{number} connections sit in a transaction for more than a minute: what they lock, calls wait for")


def _role(facts: "Facts") -> Finding:
    if facts.superuser:
        return Finding("role", "look", "a superuser: the owner of its own database is enough")
    return Finding("role", "fine", "no superuser")


def _encryption(settings: Settings, facts: "Facts") -> Finding:
    host = urlsplit(settings.store.url).hostname or ""
    if facts.encrypted:
        return Finding("encryption", "fine", "the connection is encrypted")
    if not host or is_loopback(host):
        return Finding("encryption", "fine", "the database is on this machine")
    if facts.encrypted is None:
        return Finding("encryption", "look", f"behind a pooler it cannot be seen: make sure of the way to {host}")
    return Finding("encryption", "look", f"what goes to {host} is not encrypted: add ?sslmode=verify-full to store.url")


def schema(settings: Settings, facts: "Facts") -> Finding:
    """Whether the schema is the one that this version knows."""
    known = {number: name for number, name, _ in migrations("postgres")}
    missing = [name for number, name in known.items() if number not in facts.schema]
    newer = [name for number, name in facts.schema.items() if number not in known]
    if not facts.schema:
        return Finding("schema", "look", f"there is no ledger in {shown(settings.place)} yet: the first start makes it")
    if newer:
        return Finding("schema", "wrong", f"{', '.join(newer)} is of a newer version: a gateway of this one does not start")
    if missing:
        return Finding("schema", "look", f"{', '.join(missing)} to be applied: `farebox db upgrade`, or the next start")
    return Finding("schema", "fine", f"{known[max(known)]} is the newest")

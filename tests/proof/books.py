"""The provider's bill laid beside the ledger, call by call; and each refusal beside what the wallet had left at that moment, replayed from rows."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import asyncpg
import msgspec

from farebox.ledger.commands import Authorize, Result
from ledger.model import Block, Booked, Books, Held
from proof.cluster import Cluster
from proof.load import Told

_CHARGES = """SELECT c.hold_id, c.key, c.at, c.outcome, c.completeness, c.price, c.paid, c.written_off, c.flags, c.upstream_request_id, c.revised,
  h."user" AS name, h.state FROM charges AS c JOIN holds AS h ON h.id = c.hold_id WHERE c.at >= $1 ORDER BY c.hold_id"""
_HOLDS = """SELECT h.id, h.wallet, h.created_at, h.closed_at, h.amount, h.state, h.legs, h.deadline, c.paid, c.price, c.legs AS charged, c.revised
  FROM holds AS h LEFT JOIN charges AS c ON c.hold_id = h.id"""


_GRANTS = "SELECT id, wallet, kind, created_at, priority, effective_at, expires_at, amount FROM grants"
Step = tuple[int, bool, asyncpg.Record]
"""When a hold began, or (True) ended."""


class Figures(msgspec.Struct):
    """What a drill came to; money in nano-dollars."""

    calls: int = 0
    billed: int = 0
    bill: int = 0
    charged: int = 0
    written_off: int = 0
    exact: int = 0
    others: list[str] = []
    """Charges that are not exact: each with its bill."""
    refused: int = 0

    def add(self, other: "Figures") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def row(self, **more: Any) -> dict[str, Any]:
        """As a line of the table that `scripts/soak` ends with."""
        shown = {name: value for name, value in msgspec.structs.asdict(self).items() if name != "others"}
        return {**shown, "not exact": len(self.others), **more}


async def compare(cluster: Cluster, told: Iterable[Told], caps: Mapping[str, int] | None = None, since: int = 0) -> Figures:
    """Every billed call has one charge: an exact one is the bill, any other covers it and is listed. Who was told the end was charged the bill;
    who was refused was not billed. `caps`: what each key may pay. The books add up.
    """
    verdict = await cluster.verdict()
    assert verdict.ok, verdict.findings
    charges = await cluster.rows(_CHARGES, since)
    bill = [row for row in await cluster.bill() if int(row["nano"])]
    names = {charge["name"] for charge in charges}
    figures = Figures(calls=sum(1 for _ in told), refused=sum(told.status == 402 for told in told))
    _join(figures, [row for row in bill if not since or row["label"] in names], charges)
    _check_told(told, charges, bill)
    for key, cap in (caps or {}).items():
        paid = sum(charge["paid"] for charge in charges if charge["key"] == key)
        assert paid <= cap, f"{key} paid {paid} of {cap}"
    return figures


def _join(figures: Figures, bill: list[dict[str, Any]], charges: list[asyncpg.Record]) -> None:
    """By the id that the provider gave the call; a charge that never learned of one is known by the call's name."""
    by_id = {charge["upstream_request_id"]: charge for charge in charges if charge["upstream_request_id"]}
    assert len(by_id) == sum(bool(charge["upstream_request_id"]) for charge in charges), "a call is charged twice"
    unnamed: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for charge in charges:
        if not charge["upstream_request_id"]:
            unnamed[charge["name"]].append(charge)
        assert charge["paid"] + charge["written_off"] == charge["price"]
        figures.charged += charge["paid"]
        figures.written_off += charge["written_off"]
    for row in bill:
        nano = int(row["nano"])
        charge = by_id.pop(row["id"]) if row["id"] in by_id else _covering(unnamed[row["label"]], row)
        figures.billed += 1
        figures.bill += nano
        if charge["completeness"] == "exact" and charge["outcome"] != "released":
            assert charge["price"] == nano, (dict(charge), row)
            figures.exact += 1
        else:
            assert charge["price"] >= nano, (dict(charge), row)
            figures.others.append(_line(charge, nano))
    for charge in (*by_id.values(), *(charge for charges in unnamed.values() for charge in charges)):
        if charge["price"]:
            assert charge["completeness"] != "exact", f"charged exactly and not billed: {dict(charge)}"
            figures.others.append(_line(charge, 0))
    assert figures.charged + figures.written_off >= figures.bill


def _line(charge: asyncpg.Record, nano: int) -> str:
    return f"{charge['hold_id']} {charge['outcome']} {charge['flags']}: {charge['price']} charged, {nano} billed"


def _covering(charges: list[asyncpg.Record], row: Mapping[str, Any]) -> asyncpg.Record:
    """The dearest of them, which then stands for this call alone."""
    charges.sort(key=lambda charge: charge["price"])
    assert charges, f"billed and not charged: {row}"
    return charges.pop()


def _check_told(told: Iterable[Told], charges: list[asyncpg.Record], bill: list[dict[str, Any]]) -> None:
    by_name: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for charge in charges:
        by_name[charge["name"]].append(charge)
    billed: dict[str, int] = defaultdict(int)
    for row in bill:
        billed[row["label"]] += int(row["nano"])
    for one in told:
        if one.whole:
            last = by_name[one.name][-1]
            assert last["completeness"] == "exact", (one, dict(last))
            assert sum(charge["price"] for charge in by_name[one.name]) >= billed[one.name] > 0
        if one.status in (402, 429):
            assert not billed[one.name], f"refused and billed: {one}"
            assert not any(charge["price"] for charge in by_name[one.name]), f"refused and charged: {one}"


# --- refusals ----------------------------------------------------------------------------------------------------------------------------


class Moment(msgspec.Struct):
    """From here on a wallet had so much that was neither spent nor held."""

    at: int
    available: int


async def replayed(cluster: Cluster) -> dict[str, list[Moment]]:
    """What each wallet had over time, at the least: its rows, one after the other, in the model, which adds everything up anew each time.

    At one instant holds are taken before anything is given back, and a charge that was revised later counts as the whole hold: never more
    than the gate can have seen. Without that, nothing is ever overdrawn.
    """
    grants, steps = await cluster.rows(_GRANTS), defaultdict[str, list[Step]](list)
    for hold in await cluster.rows(_HOLDS):
        steps[hold["wallet"]].append((hold["created_at"], False, hold))
        if hold["closed_at"] is not None:
            steps[hold["wallet"]].append((hold["closed_at"], True, hold))
    found = {}
    for grant in grants:
        wallet = grant["wallet"]
        least = sorted(steps[wallet], key=lambda step: step[:2])
        found[wallet] = list(_replay(grant, least, revised_to_whole=True))
        most = sorted(steps[wallet], key=lambda step: (step[0], not step[1]))
        assert all(moment.available >= 0 for moment in _replay(grant, most, revised_to_whole=False)), f"{wallet} was overdrawn"
    return found


def _replay(grant: asyncpg.Record, steps: list[Step], *, revised_to_whole: bool) -> Iterator[Moment]:
    wallet = grant["wallet"]
    books = Books()
    books.blocks[grant["id"]] = Block(grant["id"], wallet, grant["kind"], grant["created_at"], grant["priority"], 0, grant["expires_at"])
    books.movements.append((grant["id"], grant["amount"]))
    yield Moment(0, books.available(wallet, 0))
    for at, closes, row in steps:
        if closes and row["id"] in books.holds:
            held = books.holds[row["id"]]
            held.state = row["state"]
            held.charge = Booked(
                cast("Result", None), row["price"], 0, 0, held.legs if revised_to_whole and row["revised"] else _legs(row["charged"])
            )
        elif not closes and row["created_at"] != row["closed_at"]:
            books.holds[row["id"]] = Held(cast("Authorize", None), at, {}, 0, _legs(row["legs"]), row["deadline"], set())
        yield Moment(at, books.available(wallet, at))


def _legs(text: str) -> list[tuple[str, int]]:
    return [(grant, int(part)) for grant, part in json.loads(text)]


def least_available(moments: list[Moment], since: int, until: int) -> int:
    """The least that a wallet had between two moments."""
    before = [moment for moment in moments if moment.at < since]
    within = [moment for moment in moments if since <= moment.at <= until]
    return min(moment.available for moment in (*before[-1:], *within))

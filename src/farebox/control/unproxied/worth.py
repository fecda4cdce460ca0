"""What work is worth: an amount as it is, or a quantity of an own meter at its price in the book. Pure but for the book it is handed."""

import msgspec

from farebox import limits
from farebox.control.problems import Problem
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import Result
from farebox.ledger.model import Hold
from farebox.ledger.plan import Policy
from farebox.money import NANO_PER_USD, PICO_PER_NANO, nano_half_even, nano_up
from farebox.pricing.book import PriceBook
from farebox.pricing.markup import AT_COST, Markup, charge_nano, hold_nano
from farebox.settings import OWN_PROVIDER
from farebox.store.reading import Books
from farebox.usage import MILLIONTHS, PLAIN

PROVIDER = OWN_PROVIDER
AMOUNT = "amount"
"""Stands for the model where an amount was named and no meter."""
_NOTHING = Affine(0)
_encode = msgspec.json.Encoder().encode


class Rate(msgspec.Struct, frozen=True):
    """What a millionth of a meter's unit costs whom: the list price and what is added to it, or an own price of the payer's."""

    meter: str = AMOUNT
    listed_pico: int = 0
    own_pico: int | None = None
    markup: Markup = AT_COST

    def hold(self, millionths: int) -> Bound:
        """The most that a quantity may come to, rounded up."""
        cost = self.listed_pico * millionths
        price = hold_nano(cost, self.markup) if self.own_pico is None else nano_up(self.own_pico * millionths)
        return exactly(_payable(price), _payable(nano_up(cost)))

    def result(self, millionths: int) -> Result:
        """What a quantity came to."""
        cost = self.listed_pico * millionths
        price = charge_nano(cost, self.markup) if self.own_pico is None else nano_half_even(self.own_pico * millionths)
        each = self.listed_pico if self.own_pico is None else self.own_pico
        line = (MILLIONTHS, millionths, each, each * millionths)
        return _result(_payable(price), _payable(nano_half_even(cost)), {MILLIONTHS: millionths}, line)


ANY_AMOUNT = Rate()


def _payable(nano: int) -> int:
    """An amount that one piece of work may come to. Raises a Problem."""
    if nano > limits.unproxied_usd_max * NANO_PER_USD:
        raise Problem("invalid_request", f"One piece of work costs at most ${limits.unproxied_usd_max:,}: this quantity costs more.")
    return nano


def exactly(price: int, cost: int = 0) -> Bound:
    return Bound(Affine(price), Affine(cost) if cost else _NOTHING, _NOTHING, 1, 1)


def amount(nano: int) -> Result:
    """What work comes to whose price was named: its cost is not known here."""
    return _result(nano, 0, {}, (AMOUNT, 1, nano * PICO_PER_NANO, nano * PICO_PER_NANO))


def _result(price: int, cost: int, units: dict[str, int], line: tuple[str, int, int, int]) -> Result:
    usage = _usage(units) if units else _NO_USAGE
    return Result("captured", "exact", price, cost, cost, 0, "", usage, _encode((line,)).decode())


def _usage(units: dict[str, int]) -> str:
    return _encode({"units": units, "prompt_total": 0, "conditions": {}}).decode()


_NO_USAGE = _usage({})


def rate_of(policy: Policy, meter: str, books: Books, at: int) -> Rate:
    """The price of a meter for a key at a moment: the nearest own price, from the key up, else list price and markup. Raises a Problem."""
    listed = _pico(books.listed, meter, at)
    own = None
    for scope in (policy.key.id, *(account.id for account in policy.path)) if books.own else ():
        book = books.own.get(scope)
        own = None if book is None else _pico(book, meter, at)
        if own is not None:
            break
    if listed is None and own is None:
        raise Problem("unknown_meter", f"There is no meter {meter!r} with a price at that time: PUT /prices/meters/{meter} sets one.")
    return Rate(meter, listed or 0, own, AT_COST if own is not None else Markup(*policy.markup))


def held_rate(hold: Hold, policy: Policy, books: Books) -> Rate:
    """The price that a hold was made with: the version of the book, the moment and the markup are its own."""
    if hold.model == AMOUNT:
        return ANY_AMOUNT
    now = rate_of(policy, hold.model, books, hold.created_at)
    if now.own_pico is not None:
        return now
    return msgspec.structs.replace(now, markup=Markup(hold.markup_basis_points, hold.markup_fixed_nano))


def _pico(book: PriceBook, meter: str, at: int) -> int | None:
    price = book.find(PROVIDER, meter, at)
    return None if price is None else price.card(PLAIN).at(0).prices.get(MILLIONTHS)

"""What a counter that is about to be made would have counted, from sums that are kept with the charges: as much work for a million charges
as for ten.

Counters of all of a key's calls come from the windows that keys have from birth; others from usage by the hour (`rollups.py`); what is no
whole hour of one window, from the charges of that stretch, found by their ids, which sort by time.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from farebox import limits
from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_MS, US_PER_S
from farebox.ids import first_id
from farebox.ledger import windows
from farebox.ledger.model import KEY_WINDOWS, Amounts, Charge, Counter, Hold
from farebox.store import rows
from farebox.store.database import Database, Row

_NO_STEP = 2**62
_OLDER_US = limits.attempts_max * limits.first_byte_s_max * US_PER_S
"""By how much a hold's id may be older than the hold: it is as old as the request, which may have waited and been tried before."""
_NEWER_US = limits.event_s_ahead_max * US_PER_S + 5 * US_PER_MINUTE
"""By how much it may be newer: an event's clock may be ahead, and so may a gateway's."""
_TIMELESS = first_id("hold", 2**40)
"""Ids below it are of no time in which there were gateways."""
_tags = msgspec.json.Decoder(dict[str, str]).decode


class Span:
    """Since when a counter counts, at a moment, and in parts of what length; one that is no ring has one part."""

    __slots__ = ("_start", "now", "since", "step")

    def __init__(self, counter: Counter, now: int) -> None:
        self.now = now
        self._start: int | None = None
        if counter.window.startswith(windows.ROLLING):
            self.since, self.step = windows.ring_start(counter.window, now), windows.rolling_step(counter.window)
        else:
            self.since = self._start = windows.start_of(counter.window, counter.timezone, now)
            self.step = _NO_STEP

    def start_of(self, at: int) -> int:
        """The start of the window in which a moment of this span is counted."""
        return at - at % self.step if self._start is None else self._start

    def broken(self) -> Iterator[tuple[int, int]]:
        """The stretches of it that are not made of whole hours of one part."""
        if self.step == _NO_STEP:
            hours = range(self.since - self.since % US_PER_HOUR, self.since, US_PER_HOUR)
        elif self.step % US_PER_HOUR:
            hours = range(self.since - self.since % US_PER_HOUR, self.now + US_PER_HOUR, US_PER_HOUR)
        else:
            return
        begins = ends = self.since
        for hour in hours:
            if hour >= self.since and hour // self.step == (hour + US_PER_HOUR - 1) // self.step:
                continue
            if hour > ends:
                yield begins, ends
                begins = hour
            ends = hour + US_PER_HOUR
        if ends > begins:
            yield begins, ends


def spent(db: Database, counter: Counter, span: Span) -> dict[int, Amounts]:
    """What was charged, by start of window. Provisional charges that may be revised are among it: see `taken_out`."""
    found: defaultdict[int, Amounts] = defaultdict(Amounts)
    for model, tags, run, at, *sums in _read(db, counter, span):
        if _counts(counter, model, tags, run):
            found[span.start_of(at)] += Amounts(*sums)
    return found


def _read(db: Database, counter: Counter, span: Span) -> Iterable[Row]:
    chosen, scope = counter.filter, counter.scope
    if chosen.run:  # neither windows nor hours know of runs
        return db.rows("history_charged", scope, _ranges([(span.since, span.now + US_PER_HOUR)], span.now), span.step)
    if not chosen.models and counter.window in KEY_WINDOWS and (counter.timezone == "UTC" or counter.window == windows.LIFETIME):
        return db.rows("history_counted", scope, counter.window, span.since)
    whole = db.rows("history_rolled", scope, span.since, span.step)
    broken = list(span.broken())
    return [*whole, *db.rows("history_charged", scope, _ranges(broken, span.now), span.step)] if broken else whole


def _ranges(stretches: Iterable[tuple[int, int]], now: int) -> str:
    """The ids that holds of these stretches of time can have. Ids that tell no time (none that a gateway makes) are looked at, too."""
    ahead = _id(now + US_PER_DAY)
    found = []
    for begins, ends in stretches:
        first, last = max(_id(begins - _OLDER_US), _TIMELESS), max(_id(ends + _NEWER_US), _TIMELESS)
        found += [("", _TIMELESS, begins, ends), (first, last, begins, ends), (ahead, "~", begins, ends)]
    return rows.text(found)


def _id(at: int) -> str:
    return first_id("hold", max(at // US_PER_MS, 0))


def unfinished(db: Database, counter: Counter) -> list[str]:
    """The holds it would count whose story is not over: open, or expired with a charge that may be revised."""
    return [hold_id for hold_id, model, tags, run in db.rows("history_open", counter.scope) if _counts(counter, model, tags, run)]


def _counts(counter: Counter, model: str, tags: str, run: str) -> bool:
    """As `plan.applies`, from the tags of the key."""
    chosen = counter.filter
    return chosen.counts_model(model) and (not chosen.tags or chosen.counts_tags(_tags(tags))) and (not chosen.run or chosen.run == run)


def taken_out(counted: dict[int, Amounts], span: Span, ended: Iterable[tuple[Hold, Charge]]) -> dict[int, Amounts]:
    """The sums without these charges: their holds are counted one by one, so that a revision finds them."""
    left = dict(counted)
    for hold, charge in ended:
        if hold.created_at >= span.since:
            left[span.start_of(hold.created_at)] -= charge.amounts
    return {start: amounts for start, amounts in left.items() if amounts != Amounts()}

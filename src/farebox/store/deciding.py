"""From entries to answers, the same for every database: which commands share a transaction, what a fault fails, what an outage answers.

Owns no statement and no connection: a store says how one transaction is run (`_transact`, `_transact_alone`) and given up (`_forget`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice

import msgspec

from farebox.errors import LedgerUnavailable, StoreError
from farebox.ledger import machine
from farebox.ledger.commands import Command, Outcome
from farebox.ledger.state import State
from farebox.store.database import Alarm, Answer, Entry
from farebox.store.writing import Changes

FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, msgspec.MsgspecError)
"""What a rule or a row that is wrong raises: the same again, however often it is tried, so it is no outage."""


class Deciding(ABC):
    """What stores share. `_violations`: errors that say a guarantee would not hold. `_faults`: errors of a command that cannot be decided, or
    not be written. `_outages`: errors after which nothing is known. `_others`: what is left, taken for a fault, because one that is tried again
    for ever stops everything.
    """

    _faults: tuple[type[Exception], ...] = FAULTS
    _violations: tuple[type[Exception], ...]
    _outages: tuple[type[Exception], ...]
    _others: tuple[type[Exception], ...] = ()
    _alarm: Alarm

    def decide(self, entries: Sequence[Entry]) -> list[Answer]:
        """Decides entries in order; answers when they are durable. Hot ones share one transaction, each admin entry has its own."""
        answers: list[Answer] = []
        group: list[Entry] = []
        for entry in entries:
            if machine.are_hot(entry):
                group.append(entry)
                continue
            answers += self._decide_group(group)
            group = []
            answers += self._decide_group([entry], alone=True)
        return answers + self._decide_group(group)

    @abstractmethod
    def _transact(self, entries: list[Entry]) -> list[Answer]:
        """Decides hot entries in one transaction."""

    @abstractmethod
    def _transact_alone(self, entry: Entry) -> Answer:
        """Decides one entry in a transaction of its own, each command on rows read when its turn comes."""

    @abstractmethod
    def _forget(self) -> None:
        """After a failure only the database knows what is true."""

    def _decide_group(self, entries: list[Entry], *, alone: bool = False) -> list[Answer]:
        if not entries:
            return []
        try:
            return self._attempt(entries, alone=alone)
        except self._violations + self._faults as problem:
            self._forget()
            return self._one_by_one(entries, problem, alone=alone)
        except self._outages as problem:
            self._forget()
            self._alarm("ledger_unavailable", problem=str(problem))
            return [LedgerUnavailable(problem=str(problem))] * len(entries)
        except self._others as problem:
            self._forget()
            return self._one_by_one(entries, problem, alone=alone)
        except BaseException:
            self._forget()
            raise

    def _one_by_one(self, entries: list[Entry], problem: Exception, *, alone: bool) -> list[Answer]:
        """Something in these is wrong: found by itself, it fails alone."""
        if len(entries) > 1:
            return [answer for entry in entries for answer in self._decide_group([entry], alone=alone)]
        return [self._fault(entries[0], problem)]

    def _attempt(self, entries: list[Entry], *, alone: bool) -> list[Answer]:
        return [self._transact_alone(entry) for entry in entries] if alone else self._transact(entries)

    def _fault(self, entry: Entry, problem: Exception) -> StoreError:
        """An entry that cannot be decided or written, found by itself: nothing of it stays."""
        names = ", ".join(type(command).__name__ for command in entry)
        if isinstance(problem, self._violations):
            self._alarm("guarantee_violated", problem=str(problem), commands=names)
            return StoreError(problem=f"a guarantee would not hold: {problem}")
        self._alarm("command_failed", command=names, problem=repr(problem))
        return StoreError(problem=f"{names} could not be decided: {problem!r}")

    def _decide_all(self, state: State, entries: list[Entry], commands: list[Command], now: int, changes: Changes) -> list[Answer]:
        """Answers of entries, whose commands were filled in from what was read and stand one after the other."""
        turn = iter(commands)
        return [self._decide_entry(state, tuple(islice(turn, len(entry))), now, changes) for entry in entries]  # taken, decided or not

    def _decide_entry(self, state: State, commands: Sequence[Command], now: int, changes: Changes) -> Answer:
        """A fault in an entry's first command fails it alone: nothing was applied, because rules only return what would change.
        One in a later command takes back what the entry did so far: everything is decided again, one entry at a time.
        """
        outcomes: list[Outcome] = []
        for command in commands:
            try:
                outcome, deltas = machine.decide(state, command, now)
            except FAULTS as problem:
                if outcomes:
                    raise
                return self._fault((command,), problem)
            state.apply(deltas)
            changes.add(deltas)
            outcomes.append(outcome)
        return tuple(outcomes)

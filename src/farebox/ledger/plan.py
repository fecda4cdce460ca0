"""From who is asking to what must admit the call: which counters count it and which caps stand on its path. Pure."""

import msgspec

from farebox.ledger import windows
from farebox.ledger.commands import Gate
from farebox.ledger.model import Account, Budget, Counter, Filter, Key

_GATES_MAX = 64


class Policy(msgspec.Struct, frozen=True):
    """All that is laid down for one key: itself, the accounts above it, what is counted and capped anywhere on that path."""

    key: Key
    path: tuple[Account, ...]
    counters: tuple[Counter, ...]
    budgets: tuple[Budget, ...]
    book_version: int
    gates: dict[str, Gate] = {}
    """Gates without a run that were made before, by model."""

    def gate(self, model: str, run: str = "", run_limit: int | None = None) -> Gate:
        """What must admit a call of this model (`provider/model`). A run is always counted, so that its cap may come with any call."""
        known = self.gates.get(model) if not run else None
        if known is not None:
            return known
        counters = [counter for counter in self.counters if applies(counter, self.key, model, run)]
        caps = [budget for budget in self.budgets if applies(budget.counter, self.key, model, run)]
        if run:
            of_run = Counter(self.key.id, windows.LIFETIME, filter=Filter(run=run))
            counters.append(of_run)
            if run_limit is not None:
                caps.append(Budget(of_run, run_limit))
        gate = Gate(self.key, self.path, tuple(counters), tuple(caps), self.book_version)
        if not run and len(self.gates) < _GATES_MAX:
            self.gates[model] = gate
        return gate

    @property
    def markup(self) -> tuple[int, int]:
        """Basis points and fixed nano-dollars per attempt: the nearest set, from the key up."""
        nodes: tuple[Key | Account, ...] = (self.key, *self.path)
        for node in nodes:
            if node.markup_basis_points is not None or node.markup_fixed_nano is not None:
                return node.markup_basis_points or 0, node.markup_fixed_nano or 0
        return 0, 0


def applies(counter: Counter, key: Key, model: str, run: str) -> bool:
    """Whether a counter counts a call."""
    chosen = counter.filter
    return chosen.counts_model(model) and chosen.counts_tags(key.tags) and (not chosen.run or chosen.run == run)

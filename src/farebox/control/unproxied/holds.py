"""Holds of work that is not proxied: set aside, grown, captured at what it came to, given back. Commands of the ledger, decided in its batch.

No process owns such a hold (its owner is `api`): nobody's death ends it, only its deadline does.
"""

from collections import OrderedDict
from hashlib import blake2b
from operator import attrgetter

import msgspec

from farebox import limits
from farebox.clock import US_PER_S
from farebox.control import views
from farebox.control.caller import Admin, Own
from farebox.control.office import Office, conflict
from farebox.control.problems import Problem, not_found
from farebox.control.unproxied import worth
from farebox.control.unproxied.asked import ExtendIn, ToCapture, ToHold
from farebox.control.unproxied.payers import Caller, Payers, check
from farebox.control.unproxied.refusals import problem_of
from farebox.control.wire import moment
from farebox.errors import Busy, FareboxError, LedgerUnavailable, Refusal
from farebox.ids import new_id
from farebox.ledger.bounds import Bound
from farebox.ledger.commands import (
    Authorize,
    Authorized,
    Capture,
    Claim,
    Conflict,
    Extend,
    Idempotency,
    Outcome,
    Refused,
    Release,
    Repeated,
    Requote,
    Settled,
)
from farebox.ledger.model import Hold
from farebox.ledger.plan import Policy
from farebox.pricing.markup import AT_COST
from farebox.store.reading import Books

OWNER = "api"
Answered = tuple[Outcome, ...] | FareboxError
KEYS_OWN = f"{OWNER}:key"
"""Of holds that a gateway key made for itself: it may end these, and none that its operator made for it."""
ROUTE = "/api/v1/holds"
_OPERATORS = Claim(OWNER)
_MODEL_OF_AMOUNTS = f"{worth.PROVIDER}/{worth.AMOUNT}"
_id_of = attrgetter("id")
_encode = msgspec.json.Encoder(order="sorted").encode


class Asked(msgspec.Struct, frozen=True):
    """Who asks, and the id that the command of this request has where the caller named it."""

    caller: Caller
    id: str = ""

    @property
    def claim(self) -> Claim:
        return _OPERATORS if isinstance(self.caller, Admin) else Claim(KEYS_OWN, self.caller.key.id)

    @property
    def scope(self) -> str | None:
        """The account that whoever asks is confined to, which the ledger does not know of."""
        return self.caller.scope if isinstance(self.caller, Admin) else None


class Answer(msgspec.Struct, frozen=True):
    """What is answered: a document, and whether it was answered before."""

    document: dict[str, object]
    status: int = 200
    repeated: bool = False


class _Held(msgspec.Struct, frozen=True):
    """What is remembered of a hold that was made here: whose it is, and at what price."""

    key: str
    accounts: tuple[str, ...]
    rate: worth.Rate


class Holds:
    """One per event loop."""

    def __init__(self, office: Office, payers: Payers) -> None:
        self._office = office
        self._batcher = office.context.batcher
        self._payers = payers
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._books: Books | None = None

    # --- open --------------------------------------------------------------------------------------------------------------------

    async def open(self, asked: Asked, body: ToHold) -> Answer:
        """Sets money aside. Raises a Problem, having changed nothing."""
        self._office.context.admit()
        request, refreshed = new_id("req"), False
        name = self._payers.name(asked.caller, body.key, body.account)
        for _ in range(limits.requotes_max):
            policy = await self._payers.named(asked.caller, name)
            try:
                rate = worth.ANY_AMOUNT if body.meter is None else await self._rate(policy, body.meter)
                check(policy, rate.meter)
            except (Problem, Refusal):
                if refreshed:
                    raise
                refreshed = True
                self._payers.forget(name)  # a refusal is only given on what the ledger has now
                continue
            command = _authorize(asked, body, request, policy, rate)
            outcome = self._answered(command, await self._batcher.post(command))
            if isinstance(outcome, Authorized):
                self._remember(outcome.hold, policy, rate)
                return Answer(views.hold(outcome.hold), 201)
            if isinstance(outcome, Repeated):
                return await self._again(outcome)
            if not isinstance(outcome, Requote):
                raise self._refusal(outcome, asked)
            self._payers.forget(name)
        raise Busy(limit="its prices and limits change faster than it can be held")

    def _answered(self, command: Authorize, answer: Answered) -> Outcome:
        """What the ledger says. A hold that may have been made unheard is given back, unless its name lets the caller ask for it again."""
        if isinstance(answer, LedgerUnavailable) and command.idempotency is None:
            self._office.context.unheard(command)
        return _outcome(answer)

    async def _again(self, outcome: Repeated) -> Answer:
        if outcome.state == "mismatch":
            raise conflict()
        attempts = await self._office.read(lambda reports: reports.attempts(outcome.request_id))
        if not attempts:
            raise conflict()
        return Answer(views.hold(attempts[0][0]), 201, repeated=True)

    async def _rate(self, policy: Policy, meter: str) -> worth.Rate:
        return worth.rate_of(policy, meter, await self.books(policy.book_version), self._office.context.clock())

    async def books(self, version: int) -> Books:
        """The price book of a version: that which counts is kept."""
        if self._books is None or self._books.version < version:
            self._books = await self._office.books()
        if self._books.version != version:
            return await self._office.ask(lambda reports: reports.books(version))
        return self._books

    def _remember(self, hold: Hold, policy: Policy, rate: worth.Rate) -> None:
        self._held[hold.id] = _Held(hold.key, tuple(map(_id_of, policy.path)), rate)
        if len(self._held) > limits.holds_remembered_max:
            self._held.popitem(last=False)

    def _refusal(self, outcome: Outcome, asked: Asked) -> Problem:
        if isinstance(outcome, Refused):
            return problem_of(outcome, asked.caller, self._office.context.clock())
        return conflict()

    # --- what becomes of it ------------------------------------------------------------------------------------------------------

    async def extend(self, asked: Asked, hold_id: str, body: ExtendIn) -> Answer:
        """Grows an open hold under the limits of now. Raises a Problem, having changed nothing."""
        self._office.context.admit()
        held = await self._find(asked, hold_id)
        more = worth.exactly(body.amount_usd or 0) if body.quantity is None else _metered(held.rate).hold(body.quantity)
        lasts = None if body.lifetime_s is None else body.lifetime_s * US_PER_S
        name = ("key", held.key)
        for _ in range(limits.requotes_max):
            policy = await self._payers.named(asked.caller, name)
            outcome = await self._batcher.one(self._extend(asked, hold_id, more, policy, held, lasts))
            if isinstance(outcome, Authorized):
                return Answer(views.hold(outcome.hold), repeated=outcome.repeated)
            if not isinstance(outcome, Requote):
                raise self._refusal(outcome, asked)
            self._payers.forget(name)
        raise Busy(limit="its limits change faster than it can be extended")

    def _extend(self, asked: Asked, hold_id: str, more: Bound, policy: Policy, held: _Held, lasts: int | None) -> Extend:
        return Extend(asked.id or new_id("cmd"), hold_id, more, policy.gate(f"{worth.PROVIDER}/{held.rate.meter}"), lasts, asked.claim)

    async def capture(self, asked: Asked, hold_id: str, body: ToCapture) -> Answer:
        """Charges a hold what the work came to. Raises a Problem when it ended before with something else."""
        if body.amount_usd is not None:
            if asked.scope is not None:
                await self._find(asked, hold_id)
            result = worth.amount(body.amount_usd)
        else:
            result = _metered((await self._find(asked, hold_id)).rate).result(body.quantity or 0)
        return self._settled(_outcome(await self._batcher.post(Capture(hold_id, result, claim=asked.claim))), asked)

    async def release(self, asked: Asked, hold_id: str) -> Answer:
        """Gives a hold back whole. Raises a Problem when it was captured."""
        if asked.scope is not None:
            await self._find(asked, hold_id)
        return self._settled(await self._batcher.one(Release(hold_id, claim=asked.claim)), asked)

    def _settled(self, outcome: Outcome, asked: Asked) -> Answer:
        if not isinstance(outcome, Settled):
            closed = "This hold ended already, with another charge; nothing was done."
            raise Problem("hold_closed", closed) if isinstance(outcome, Conflict) else self._refusal(outcome, asked)
        charge = outcome.charge
        document = {
            "id": charge.hold_id,
            "request_id": charge.request_id,
            "key": charge.key,
            "account": charge.account,
            "provider": charge.provider,
            "model": charge.model,
            "outcome": charge.outcome,
            **views.amounts(charge),
            "flags": views.flags(charge.flags),
            "revised": charge.revised,
            "at": moment(charge.at),
        }
        return Answer(document, repeated=outcome.repeated)

    # --- whose it is -------------------------------------------------------------------------------------------------------------

    async def _find(self, asked: Asked, hold_id: str) -> _Held:
        """What there is to know of a hold. Raises a Problem, in the same words whether there is none or it is another's."""
        held = self._held.get(hold_id) or await self._read(hold_id)
        claim, scope = asked.claim, asked.scope
        if held is None or claim.key not in ("", held.key) or (scope is not None and scope not in held.accounts):
            raise not_found("hold", hold_id)
        return held

    async def _read(self, hold_id: str) -> _Held | None:
        found = await self._office.read(lambda reports: reports.hold(hold_id))
        if found is None or found.owner not in (OWNER, KEYS_OWN):
            return None
        key = await self._office.read(lambda reports: reports.key(found.key))
        if key is None:
            return None
        policy = await self._office.read(lambda reports: reports.policy(key))
        rate = worth.held_rate(found, policy, await self.books(found.book_version))
        self._remember(found, policy, rate)
        return self._held[hold_id]


def _outcome(answer: Answered) -> Outcome:
    """The outcome of a command that was posted alone. Raises what keeps the ledger from deciding."""
    if isinstance(answer, FareboxError):
        raise answer
    return answer[0]


def _authorize(asked: Asked, body: ToHold, request: str, policy: Policy, rate: worth.Rate) -> Authorize:
    bound = worth.exactly(body.amount_usd or 0) if body.quantity is None else rate.hold(body.quantity)
    markup = rate.markup if rate.own_pico is None else AT_COST
    return Authorize(
        f"hold_{request.removeprefix('req_')}1",
        request,
        1,
        policy.gate(_MODEL_OF_AMOUNTS if rate is worth.ANY_AMOUNT else f"{worth.PROVIDER}/{rate.meter}", body.run or ""),
        bound,
        markup.basis_points,
        markup.fixed_nano,
        worth.PROVIDER,
        rate.meter,
        ROUTE,
        OWNER if isinstance(asked.caller, Admin) else KEYS_OWN,
        body.lifetime_s * US_PER_S,
        run=body.run or "",
        user=body.user or "",
        tags=tags_text(body.tags),
        idempotency=_idempotency(asked, body) if asked.id else None,
    )


def _idempotency(asked: Asked, body: ToHold) -> Idempotency:
    said = msgspec.structs.asdict(body)
    if isinstance(asked.caller, Own):
        del said["key"]  # it can only be its own
    content = _encode(said)
    return Idempotency(f"{ROUTE} {asked.id}", blake2b(content, digest_size=20).hexdigest())


def _metered(rate: worth.Rate) -> worth.Rate:
    if rate.meter == worth.AMOUNT:
        raise Problem(
            "invalid_request",
            "quantity: this hold has no meter; give an amount_usd.",
            errors=[{"field": "quantity", "problem": "no meter"}],
        )
    return rate


def tags_text(tags: dict[str, str]) -> str:
    """As holds keep them: `feature=b,team=a`."""
    return ",".join([f"{name}={tags[name]}" for name in sorted(tags)]) if tags else ""

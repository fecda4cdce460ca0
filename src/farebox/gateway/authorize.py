"""Sets money aside for an attempt, or says no in words a program can act on. The ledger decides; this asks, waits and plans again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from farebox import errors, limits
from farebox.clock import Clock, to_rfc3339
from farebox.dialects.base import Ask
from farebox.errors import Refusal
from farebox.gateway.attempt import Attempt, Call, Plan
from farebox.gateway.outage import Outage
from farebox.ledger.calls import retry_after_s
from farebox.ledger.commands import Authorize, Authorized, Idempotency, Outcome, Refused, Repeated, Requote
from farebox.ledger.model import Measure
from farebox.ledger.windows import LIFETIME
from farebox.money import format_usd
from farebox.store.batcher import Batcher

_POLL_S = 0.25
_AWAY_S = 5
"""When to ask again where the ledger cannot be reached."""
Replan = Callable[[Call, Ask], Awaitable[Plan]]
Tighten = Callable[[Call, Attempt, Refused], Awaitable[Plan | None]]


class Waiters:
    """Calls that wait for money to come back: woken when a hold on their wallet ends in this process, and from time to time."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    async def wait(self, wallet: str, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(wallet, [])
        waiting.append(future)
        try:
            async with asyncio.timeout(min(seconds, _POLL_S)):
                await future
        except TimeoutError:
            pass
        finally:
            if future in waiting:
                waiting.remove(future)
            if not waiting and self._waiting.get(wallet) is waiting:
                del self._waiting[wallet]

    def wake(self, wallet: str) -> None:
        for future in self._waiting.pop(wallet, ()):
            if not future.done():
                future.set_result(None)


class Authorizer:
    """Asks the ledger for holds."""

    def __init__(
        self, batcher: Batcher, outage: Outage, *, owner: str, clock: Clock, topup_url: str, held_wait_s: float, request_s: int
    ) -> None:
        self._batcher = batcher
        self._outage = outage
        self._owner = owner
        self._clock = clock
        self._topup_url = topup_url
        self._held_wait_s = held_wait_s
        self._longest_us = request_s * 1_000_000
        self.waiters = Waiters()

    async def authorize(self, call: Call, attempt: Attempt, replan: Replan, tighten: Tighten, fingerprint: str) -> Repeated | None:
        """Holds the attempt's worst case. None when the money is set aside; Repeated when the caller's Idempotency-Key was used before.

        Raises a Refusal, having changed nothing. `replan` plans the call again with what is laid down now; `tighten`, asked once before a
        call is refused for what it needs, plans it with a tighter bound where there is one that may fit.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._held_wait_s
        requotes = 0
        tightened = False
        while True:
            answer = await self._ask(call, attempt, fingerprint)  # a cancelled caller learns of it only once that is there (see Batcher)
            if isinstance(answer, errors.FareboxError):
                raise self._trouble(answer)
            attempt.pending = None
            outcome: Outcome = answer[-1]
            if isinstance(outcome, Authorized):
                attempt.hold, attempt.available, attempt.stage = outcome.hold, outcome.available, "held"
                return None
            attempt.stage = "planned"
            if isinstance(outcome, Repeated):
                return outcome
            if isinstance(outcome, Requote) and requotes < limits.requotes_max:
                requotes += 1
                attempt.plan = await replan(call, attempt.plan.ask)
                continue
            if not isinstance(outcome, Refused):
                raise errors.Busy(limit=f"the ledger answered {type(outcome).__name__}")
            if not tightened:
                tightened = True
                plan = await tighten(call, attempt, outcome)
                if plan is not None:
                    attempt.plan = plan
                    continue
            left = give_up - loop.time()
            if outcome.reason != "held" or left <= 0:
                raise self.refusal_of(outcome, attempt.plan, call.caller.run)
            await self.waiters.wait(attempt.plan.gate.wallet, left)

    def admit(self) -> None:
        """Raises LedgerDown while the ledger cannot be reached, or what happened meanwhile is not booked yet."""
        if self._outage.lasts:
            raise errors.LedgerDown(retry_after_s=_AWAY_S)

    def _ask(self, call: Call, attempt: Attempt, fingerprint: str) -> "asyncio.Future[Any]":
        """The ledger's answer, which is still to come: until then the attempt is `queued`."""
        self.admit()
        attempt.stage = "queued"
        attempt.asked = self.command(call, attempt, fingerprint)
        pending = self._batcher.post(attempt.asked)
        attempt.pending = pending
        return pending

    def _trouble(self, error: errors.FareboxError) -> errors.FareboxError:
        """An error of the ledger as a refusal: the attempt stays `queued`, and whoever settles it makes sure of its hold."""
        if isinstance(error, errors.Busy):
            return error
        if isinstance(error, errors.LedgerUnavailable):
            self._outage.noticed()
        return errors.LedgerDown(retry_after_s=_AWAY_S)

    def command(self, call: Call, attempt: Attempt, fingerprint: str) -> Authorize:
        """What the ledger is asked for this attempt."""
        plan, caller = attempt.plan, call.caller
        idempotency = Idempotency(caller.idempotency, fingerprint) if caller.idempotency else None
        return Authorize(
            attempt.hold_id,
            call.request_id,
            attempt.number,
            plan.gate,
            plan.bound,
            plan.markup.basis_points,
            plan.markup.fixed_nano,
            plan.provider.name,
            plan.model,
            plan.ask.route,
            self._owner,
            self._longest_us,
            caller.ceiling,
            caller.run,
            caller.user,
            caller.tags,
            idempotency,
        )

    def refusal_of(self, refused: Refused, plan: Plan, run: str = "") -> Refusal:
        """The ledger's no in the words of the contract."""
        key = plan.policy.key
        scope = _scope(refused, plan, run)
        facts: dict[str, errors.Fact] = {
            "scope": scope,
            "needed": _amount(refused.needed, refused.measure),
            "available": _amount(refused.available, refused.measure),
        }
        if refused.measure in ("price", "provider_cost"):
            facts |= {"needed_usd": format_usd(refused.needed), "available_usd": format_usd(refused.available)}
        topup = {"topup_url": self._topup_url, "topup": f"Top up at {self._topup_url}."} if self._topup_url else {}
        since = to_rfc3339(refused.since or 0)
        match refused.reason:
            case "exhausted":
                return errors.Exhausted(**facts, **topup)
            case "exceeds_available":
                affordable = max(refused.affordable_units, 0)
                words = (
                    f"An output cap of {affordable} tokens would be affordable."
                    if affordable
                    else "Even without output it would not be affordable."
                )
                return errors.ExceedsAvailable(**facts, **topup, affordable_max_output_tokens=affordable, affordable=words)
            case "budget_exceeded":
                renews = to_rfc3339(refused.renews_at or 0)
                affordable = max(refused.affordable_units, 0)
                return errors.BudgetExceeded(**facts, affordable_max_output_tokens=affordable, renews_at=renews, window=refused.window)
            case "exceeds_max_cost":
                return errors.ExceedsMaxCost(**facts)
            case "held":
                return errors.Held(**facts, retry_after_s=1)
            case "rate_limited":
                wait = retry_after_s(refused.renews_at, self._clock())
                return errors.RateLimited(limit=refused.window, scope=scope, retry_after_s=min(wait, 60))
            case "key_revoked":
                return errors.KeyRevoked()
            case "key_expired":
                return errors.KeyExpired(expired_at=to_rfc3339(key.expires_at or 0))
            case "key_paused":
                return errors.KeyPaused(since=since, why=refused.detail or "no reason given")
            case "account_paused":
                return errors.AccountPaused(since=since, why=refused.detail or "no reason given")
            case _:
                return errors.Busy(limit=f"the ledger refused with {refused.reason}")


def _scope(refused: Refused, plan: Plan, run: str) -> str:
    """Which limit refused, told without ids of accounts that are not the caller's. A wallet has no window; a cap always has."""
    if not refused.window and refused.scope == plan.gate.wallet:
        return "wallet"
    if refused.scope == plan.policy.key.id:
        capped = run and any(cap.counter.filter.run for cap in plan.gate.caps)
        return f"this key, run {run}" if capped and refused.window == LIFETIME else "this key"
    return "this account" if refused.scope == plan.policy.key.account else "a parent account"


def _amount(value: int, measure: Measure) -> str:
    return f"${format_usd(value)}" if measure in ("price", "provider_cost") else f"{value} {measure}"

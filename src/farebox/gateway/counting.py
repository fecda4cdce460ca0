"""The second stage of admission: before a call is refused because its bound does not fit, its input is counted, and the tighter bound decides.

A count may be too low: what it underestimates is overage, charged as far as the caps allow. So callers who would be refused anyway do not get
anything counted, one key never has two requests counted at once, and a process only so many. Owns when it is worth it; `dialects/counting`
knows how.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from farebox import limits, metrics
from farebox.dialects import counting
from farebox.dialects.base import Ask, Route
from farebox.dialects.counting import Counting, narrowed
from farebox.dialects.counting.question import Question
from farebox.errors import Refusal
from farebox.exchange import Exchange
from farebox.gateway.attempt import COUNTED, Attempt, Plan
from farebox.gateway.forward import Forwarder, readable
from farebox.gateway.upstream import UpstreamFailed
from farebox.ledger.commands import Refused
from farebox.providers.catalogue import Provider

_log = structlog.get_logger()
_MAY_FIT = frozenset(("exceeds_available", "budget_exceeded", "exceeds_max_cost", "held", "rate_limited"))
_LEAST_OF_BYTES = 8
"""Text of fewer tokens than one to so many bytes is not what people write."""
_OK = 200
_OF_THE_MAKER = frozenset(("openai", "azure", "openrouter", "groq", "together", "fireworks"))
"""Whose models are what their names say. Anybody's own server may call another model by the name of one whose tokenizer is known."""
T = TypeVar("T")
_COUNT = Route("", "count_tokens", "POST", kind="free")


class Counter:
    """Counts requests. One per process."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._counting: set[str] = set()
        """Keys one of whose requests is being counted."""
        self._threads: dict[str, asyncio.Future[Any]] = {}
        """The last thread of each."""

    def worth(self, ask: Ask, refused: Refused) -> bool:
        """Whether a smaller bound of the input could change the ledger's mind."""
        return refused.reason in _MAY_FIT and refused.measure != "requests" and counting.how(ask) is not None

    @staticmethod
    def least(plan: Plan) -> Ask:
        """The request, with less input than it can plausibly have: if even that does not fit, it is not counted."""
        return narrowed(plan.ask, plan.input_tokens // _LEAST_OF_BYTES)

    async def count(self, exchange: Exchange, attempt: Attempt) -> Ask | None:
        """The attempt's request with the bound that was counted; None where it is not tighter, or could not be had."""
        plan, key = attempt.plan, attempt.plan.policy.key.id
        how = counting.how(plan.ask)
        if how is None or key in self._counting or len(self._counting) >= limits.counts_at_once_max:
            return None
        self._counting.add(key)
        try:
            async with asyncio.timeout(limits.count_s_max):
                tokens, where = await self._tokens(how, exchange, attempt)
        except (TimeoutError, UpstreamFailed, Refusal) as problem:
            _log.info("not_counted", provider=plan.provider.name, model=plan.model, problem=repr(problem))
            return None
        finally:
            self._over(key)
        metrics.counted_inputs.labels(plan.provider.name, where).inc()
        if tokens is None or tokens >= plan.input_tokens:
            return None
        attempt.flags.append(COUNTED)
        return narrowed(plan.ask, tokens)

    def _over(self, key: str) -> None:
        thread = self._threads.pop(key, None)
        if thread is None or thread.done():
            self._counting.discard(key)
        else:
            thread.add_done_callback(lambda _: self._counting.discard(key))

    async def _tokens(self, how: Counting, exchange: Exchange, attempt: Attempt) -> tuple[int | None, str]:
        """Counted here where that is exact; a thread does it, because it takes long."""
        plan = attempt.plan
        tokens = None
        if plan.provider.prices in _OF_THE_MAKER:
            tokens = await self._on_a_thread(plan, how.here, attempt.body, plan.provider.behind(plan.model))
        if tokens is not None or not _counts(plan):
            return tokens, "here"
        question = await self._on_a_thread(plan, how.there, attempt.body, plan.model)
        return None if question is None else await self._asked(plan.provider, plan, question, exchange), "provider"

    async def _on_a_thread(self, plan: Plan, work: Callable[[Ask, bytes, str], T], body: bytes, model: str) -> T:
        """What takes long. It cannot be broken off: who gives up waiting for it still has it counted, until it ends."""
        thread = asyncio.ensure_future(asyncio.to_thread(work, plan.ask, body, model))
        self._threads[plan.policy.key.id] = thread
        return await asyncio.shield(thread)

    async def _asked(self, provider: Provider, plan: Plan, question: Question, exchange: Exchange) -> int | None:
        """What the provider counts. Raises UpstreamFailed."""
        answer = await self._forwarder.send(provider, plan.dialect, _COUNT, question.target, exchange, question.body)
        try:
            body = readable(answer, await answer.read_all(limits.error_body_bytes_max))
        finally:
            answer.abort()
        return question.answer(body) if body is not None and answer.status == _OK else None


def _counts(plan: Plan) -> bool:
    """Whether the provider has the endpoint: others that speak its API have not."""
    return plan.provider.prices == plan.ask.dialect

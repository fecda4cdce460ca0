"""One tiny call to each route that is configured, straight to its provider: read, rewritten, signed, sent, metered and priced by the gateway's own
means, and paid by the operator. Nobody's wallet is touched, and no gateway need run.

Owns what is asked for and what is told of it; a provider key is told by its number and its last letters only.
"""

import asyncio
import json
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from farebox import limits
from farebox.app import quoter_of
from farebox.cli.failing import Failed, one_line
from farebox.clock import wall_clock
from farebox.dialects import faults, routes
from farebox.dialects.base import Ask, Dialect, Report
from farebox.errors import FareboxError
from farebox.exchange import AsgiExchange, Message
from farebox.gateway.forward import Forwarder, readable
from farebox.gateway.upstream import Answer, Upstream, UpstreamFailed
from farebox.money import format_usd, nano_half_even
from farebox.pricing.book import PriceBook
from farebox.pricing.cards import ModelPrice
from farebox.pricing.importer import from_genai_prices
from farebox.pricing.rate import NOT_PRICED, rate
from farebox.providers.catalogue import Catalogue, Provider
from farebox.providers.configured import catalogue_of
from farebox.settings import Settings
from farebox.store.reading import Reader
from farebox.usage import Usage

_SAYS = "Reply with OK."
_OUTPUT_TOKENS = 256
"""Enough for a model that thinks first; most answer with two."""
_VOICE = "JBFqnCBsd6RMkjVDRZzb"
"""The voice of ElevenLabs' own examples, which every account has."""
_USUAL = {
    "openai": "gpt-4o-mini",
    "azure": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash-lite",
    "deepseek": "deepseek-chat",
    "mistral": "mistral-small-latest",
    "xai": "grok-3-mini",
    "groq": "llama-3.1-8b-instant",
    "openrouter": "openai/gpt-4o-mini",
    "together": "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
    "fireworks": "accounts/fireworks/models/gpt-oss-20b",
    "perplexity": "sonar",
    "cohere": "command-r7b-12-2024",
    "elevenlabs": "eleven_flash_v2_5",
    "bedrock": "amazon.nova-micro-v1:0",
}
"""A cheap model by whose prices apply, for providers that no alias leads to."""
_AT_ONCE_MAX = 8
_MASKED_CHARS_MIN = 16
_SHOWN_CHARS_MAX = 200
_OK = 200
_ANSWER_S_MAX = 60.0


class Trial(msgspec.Struct, frozen=True):
    """One call that is to be made."""

    provider: Provider
    """With the one key that it is made with."""
    number: int
    model: str
    """At the provider; empty: nobody knows which it has."""
    dialect: Dialect
    price: ModelPrice | None


class Result(msgspec.Struct):
    """What came of it. Amounts are dollars, written exactly."""

    provider: str
    key: str
    model: str
    status: int = 0
    units: dict[str, int] = {}
    cost_usd: str | None = None
    reported_cost_usd: str | None = None
    ms: int = 0
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem

    def shown(self) -> dict[str, Any]:
        return {"ok": self.ok, **msgspec.structs.asdict(self)}


def trials(settings: Settings, only: str | None = None) -> list[Trial]:
    """What there is to try: every key of every provider, with each model that an alias leads to there, else one that is cheap."""
    catalogue = catalogue_of(settings)
    if only is not None and only not in catalogue.providers:
        raise Failed(f"there is no provider {only}; there are {', '.join(catalogue.providers) or 'none'}")
    quoter, book, now = quoter_of(settings, catalogue), _book(settings), wall_clock()
    return [
        Trial(one, number, model, quoter.dialect_at(provider), book.find(provider.prices, provider.behind(model), now))
        for provider in catalogue.providers.values()
        if only in (None, provider.name)
        for model in _models(provider, catalogue)
        for number, one in enumerate(provider.with_each_key(), 1)
    ]


def _book(settings: Settings) -> PriceBook:
    """The store's prices; where there is no store yet, those that its first start would take."""
    if not (isinstance(settings.place, Path) and not settings.place.exists()):
        reader = Reader(settings.place)
        try:
            if reader.book_version():
                return reader.books().listed
        finally:
            reader.close()
    imported = from_genai_prices(wall_clock())
    return PriceBook(1, imported.models, imported.prices)


def _models(provider: Provider, catalogue: Catalogue) -> list[str]:
    routed = [target.partition("/") for target in catalogue.aliases.values()]
    aliased = [model for name, _, model in routed if name == provider.name]
    return list(dict.fromkeys(aliased or provider.deployments)) or [_USUAL.get(provider.prices, "")]


async def run(some: list[Trial]) -> list[Result]:
    """Makes all of the calls, a few at once; their results in the same order."""
    upstream, room = Upstream(), asyncio.Semaphore(_AT_ONCE_MAX)

    async def one(trial: Trial) -> Result:
        async with room:
            return await _try(upstream, trial)

    try:
        return await asyncio.gather(*(one(trial) for trial in some))
    finally:
        await upstream.close()


async def _try(upstream: Upstream, trial: Trial) -> Result:
    result = Result(trial.provider.name, _masked(trial), trial.model)
    if not trial.model:
        result.problem = f"no model of it is known here: name one by an alias, [models.NAME] route = [{trial.provider.name + '/MODEL'!r}]"
        return result
    began = time.monotonic_ns()
    try:
        await _call(upstream, trial, result)
    except UpstreamFailed as failure:
        result.problem = failure.problem
    except FareboxError as refusal:
        result.problem = refusal.message
    result.ms = (time.monotonic_ns() - began) // 1_000_000
    result.problem = _scrubbed(result.problem, trial.provider)
    return result


async def _call(upstream: Upstream, trial: Trial, result: Result) -> None:
    provider, dialect = trial.provider, trial.dialect
    path, asked = _request(trial)
    headers = [(b"content-type", b"application/json"), (b"anthropic-version", b"2023-06-01")]
    route = routes.match("POST", path, headers)
    body = json.dumps(asked).encode()
    exchange = AsgiExchange({"method": "POST", "raw_path": path.encode(), "query_string": b"", "headers": headers}, _nothing, _nobody)
    ask = dialect.ask(route, body, exchange.named)
    sent = dialect.rewrite(ask, body, model=None if trial.model == ask.model else trial.model, output_cap=None)
    target = dialect.target(ask, route, trial.model, b"")
    forwarder = Forwarder(upstream, Catalogue([provider]))
    answer = await forwarder.send(provider, dialect, route, target, exchange, sent, first_byte_s=_ANSWER_S_MAX)
    try:
        result.status = answer.status
        if answer.status != _OK:
            result.problem = _complaint(dialect, answer, await answer.read_all(limits.error_body_bytes_max))
            return
        _price(trial, result, (await _report(ask, dialect, answer)).usage)
    finally:
        answer.abort()


def _request(trial: Trial) -> tuple[str, dict[str, Any]]:
    """Where a client of the gateway would ask for it, and how."""
    model, name = trial.model, trial.provider.dialect
    messages = [{"role": "user", "content": _SAYS}]
    if name == "anthropic":
        return "/anthropic/v1/messages", {"model": model, "max_tokens": _OUTPUT_TOKENS, "messages": messages}
    if name == "gemini":
        parts = {"contents": [{"role": "user", "parts": [{"text": _SAYS}]}], "generationConfig": {"maxOutputTokens": _OUTPUT_TOKENS}}
        return f"/gemini/v1beta/models/{model}:generateContent", parts
    if name == "elevenlabs":
        return f"/elevenlabs/v1/text-to-speech/{_VOICE}", {"text": "OK.", "model_id": model}
    if name == "bedrock":
        said = [{"role": "user", "content": [{"text": _SAYS}]}]
        return f"/bedrock/model/{model}/converse", {"messages": said, "inferenceConfig": {"maxTokens": _OUTPUT_TOKENS}}
    return "/openai/v1/chat/completions", {"model": model, trial.provider.cap_field: _OUTPUT_TOKENS, "messages": messages}


async def _report(ask: Ask, dialect: Dialect, answer: Answer) -> Report:
    """What the answer says of itself, read as the gateway reads it."""
    headers = dict(answer.headers)
    if not (ask.stream or ask.binary):
        return dialect.read_answer(ask, await answer.read_all(limits.answer_body_bytes_max), headers)
    meter = dialect.stream(ask, headers)
    while piece := await answer.read():
        meter.feed(piece)
    meter.close()
    return meter.report()


def _price(trial: Trial, result: Result, usage: Usage | None) -> None:
    if usage is None:
        result.problem = "it answered, and did not say what was used: such calls are charged their hold"
        return
    result.units = {unit: quantity for unit, quantity in usage.units.items() if quantity}
    if usage.reported_cost_pico is not None:
        result.reported_cost_usd = _dollars(usage.reported_cost_pico)
    if trial.price is None:
        result.problem = "it has no price here, so calls are refused: `farebox prices import`"
        return
    now = wall_clock()
    rated = rate(usage, trial.price, (now, now))
    if NOT_PRICED in rated.flags:
        result.problem = f"a unit has no price: {', '.join(line.unit for line in rated.lines if not line.pico)}"
        return
    result.cost_usd = _dollars(rated.total_pico)


def _complaint(dialect: Dialect, answer: Answer, body: bytes) -> str:
    text = readable(answer, body) or b""
    said = faults.trouble(text).message
    words = {"account": "the account or its key", "busy": "busy", "caller": "refused as asked", "provider": "failed"}
    status = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else "an error"
    return f"{words[dialect.fault(answer.status, text)]}: {said or status}"


def _scrubbed(problem: str, provider: Provider) -> str:
    """In one line, without the key, whoever repeats it."""
    return one_line(problem.replace(provider.api_key, "…") if provider.api_key else problem)[:_SHOWN_CHARS_MAX]


def _masked(trial: Trial) -> str:
    key = trial.provider.api_key
    return f"{trial.number} …{key[-4:]}" if len(key) >= _MASKED_CHARS_MIN else f"{trial.number}"


def _dollars(pico: int) -> str:
    return format_usd(nano_half_even(pico))


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _nobody(_message: Message) -> None:
    """Nobody listens: it is not a client's call."""

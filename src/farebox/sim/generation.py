"""What a simulated provider is going to generate for a call: how many tokens, which words. Pure; knows no dialect's shape and no price.

**The token rule.** Nothing is tokenized; tokens are counted so that anyone can check them with a ruler:

- input: a quarter of the bytes of the `messages`, `system` and `tools` entries as they are written in the body, rounded up, and
  4 more for each message, 8 more for each tool and 3 for the call. That is never more than the body's bytes + 16 for each message + 64 for each tool.
- output: one word, with the space before it, is one token, or four characters of JSON where the request asks for a form (`schemas.py`).
  So visible bytes are never fewer than visible tokens.
- reasoning: as many as `sim:reasoning` asks, invisible, part of the output and of the cap.
- audio: as many output tokens as `sim:audio_out` asks, beside the visible ones, part of the output and of the cap.
- rejected predictions: as many as `sim:rejected` asks and the dialect allows, part of the output but not of the cap.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from .words import NO_WORDS, Words

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
TOKENS_PER_TOOL = 8
TOKENS_PER_CALL = 3
ID_PREFIX = b"req_"
PIECES_MAX = 2000
"""A stream has at most about so many pieces: longer answers have several tokens in each."""

# ASCII letters and a space: nothing that JSON would have to escape, so dialects may paste them into frames.
_SENTENCE: Final = ("This", " is", " a", " simulated", " answer")
_CYCLE: Final = (
    " fare",
    " box",
    " coin",
    " ride",
    " line",
    " stop",
    " gate",
    " pass",
    " seat",
    " rail",
    " road",
    " tram",
    " toll",
    " lane",
    " pier",
    " dock",
)


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What besides tokens moves the price."""

    service_tier: str = "default"
    speed: str = "standard"
    cache_ttl: str = "5m"
    """How long what is written to the cache stays: `5m` and `30m` are the plain price of a write, `1h` and `12h` have their own."""
    geo: str = "global"
    """Where the call is served; some places cost more (`fees.py`)."""


PLAIN = Terms()
NO_UNITS: Final[Mapping[str, int]] = MappingProxyType({})


class Part(msgspec.Struct, frozen=True, gc=False):
    """What a call uses at another model of the same provider, beside its own: billed there."""

    model: str
    units: Mapping[str, int]
    """By the names of genai-prices' `Usage`."""


class Model(msgspec.Struct, frozen=True):
    """What the simulator knows of a model."""

    context_window: int | None
    writes_cache: bool
    """Whether cache writes have a price of their own: otherwise they are not counted apart."""
    offers: frozenset[str]
    """The service tiers and speeds that have prices of their own."""


class Ask(msgspec.Struct, frozen=True):
    """One request, as any dialect puts it."""

    model: str
    prompt: int
    """Input tokens, those from the cache too."""
    cap: int | None = None
    choices: int = 1
    streamed: bool = False
    reports_usage: bool = True
    """Whether a stream carries usage."""
    tool: str | None = None
    """The tool to call instead of answering."""
    terms: Terms = PLAIN
    words: Words = NO_WORDS
    output: int | None = None
    """Visible output tokens, where the dialect decides and not `sim:output`."""
    said: tuple[str, ...] = ()
    """The tokens of the answer, where the request asks for a form and no one for a number of tokens or for a tool."""
    audio: int = 0
    """Output tokens of sound wanted per choice, beside the visible ones."""
    rejected: int = 0
    """Output tokens that the cap does not bound, for the whole call."""
    units: Mapping[str, int] = NO_UNITS
    """What else is consumed, by the names of genai-prices' `Usage`: parts of the input and the output counted here, or units of their own."""
    fees: Mapping[str, int] = NO_UNITS
    """How many of each fee of `fees.py`."""
    parts: tuple[Part, ...] = ()
    content_type: bytes = b""
    """Of the answer, when it is not JSON or, streamed, events."""
    headers: bytes = b""
    """More headers of this answer, each line ended."""
    detail: object = None
    """What the dialect itself wants to know again when it writes the answer."""
    billed: bool = True
    """Whether the answer is paid for at all: a refusal before the first token is not."""
    refusal_billed: bool = False
    """Whether the error that `sim:status` asks for is paid for: its input, with providers that charge for some."""
    detached: bool = False
    """It is generated to its end whether the caller stays or not."""
    several: bool = False
    """Its input is several, each in a context window of its own, which the dialect has looked at."""
    fails: bool = False
    """It does not reach its end, by the provider's own doing."""


class Generation(msgspec.Struct, frozen=True):
    """What is generated for one call, decided before its first byte. Output is per choice unless it says total."""

    id: bytes
    """The request id; what follows its `req_` makes the ids inside the answer."""
    created_s: int
    ask: Ask
    cached: int
    cache_write: int
    reasoning: int
    visible: int
    truncated: bool
    """The cap ended it."""
    terms: Terms
    output_total: int
    reasoning_total: int
    audio: int = 0
    units: Mapping[str, int] = NO_UNITS
    """The ask's, and what was decided here."""
    cache_write_1h: int = 0
    """The part of `cache_write` that stays for an hour, where `sim:cache_write_1h` asks for one beside the other."""

    @property
    def stem(self) -> bytes:
        """The part of the id that all ids of this call share."""
        return self.id[len(ID_PREFIX) :]


def prompt_tokens(messages: Sequence[msgspec.Raw], tools: Sequence[msgspec.Raw], system: msgspec.Raw, without: int = 0) -> int:
    """Input tokens by the rule above; `without` bytes that are no text."""
    written = sum(map(len, messages)) + sum(map(len, tools)) + len(system) - without
    return -(-written // BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_TOOL * len(tools) + TOKENS_PER_CALL


def plan(ask: Ask, model: Model, call_id: bytes, now_s: int) -> Generation:
    """Decide what the provider generates for this call."""
    words = ask.words
    wanted = ask.output if ask.output is not None else len(_answer(ask)) if words.output is None else words.output
    whole = wanted + words.reasoning + ask.audio
    room = whole if ask.cap is None or words.ignore_cap else ask.cap
    reasoning = min(words.reasoning, room)
    visible = min(wanted, room - reasoning)
    audio = min(ask.audio, room - reasoning - visible)
    cached = min(words.cached, ask.prompt)
    cache_write = min(words.cache_write + words.cache_write_1h, ask.prompt - cached) if model.writes_cache else 0
    return Generation(
        id=call_id,
        created_s=now_s,
        ask=ask,
        cached=cached,
        cache_write=cache_write,
        reasoning=reasoning,
        visible=visible,
        truncated=reasoning + visible + audio < whole,
        terms=ask.terms if ask.terms is PLAIN else _offered(ask.terms, model),
        output_total=(reasoning + visible + audio) * ask.choices + ask.rejected,
        reasoning_total=reasoning * ask.choices,
        audio=audio,
        units=_units(ask, audio * ask.choices, min(words.cache_write_1h, cache_write)) if audio or words.cache_write_1h else ask.units,
        cache_write_1h=min(words.cache_write_1h, cache_write),
    )


def _answer(ask: Ask) -> Sequence[str]:
    """What is said where nobody asks how much. What a tool is called with has a form of its own."""
    return ask.said if ask.said and ask.tool is None and ask.output is None else _SENTENCE


def _units(ask: Ask, audio: int, cache_write_1h: int) -> Mapping[str, int]:
    decided = {"output_audio_tokens": audio, "cache_write_1h_tokens": cache_write_1h}
    return {**ask.units, **{name: value for name, value in decided.items() if value}}


def _offered(terms: Terms, model: Model) -> Terms:
    """A tier or a speed that the model does not have is served, and billed, as the plain one."""
    return Terms(
        service_tier=terms.service_tier if terms.service_tier in model.offers else PLAIN.service_tier,
        speed=terms.speed if terms.speed in model.offers else PLAIN.speed,
        cache_ttl=terms.cache_ttl,
        geo=terms.geo,
    )


def text(generation: Generation) -> str:
    """The visible text of one choice."""
    return "".join(_tokens(generation, 0, generation.visible))


def pieces(generation: Generation) -> Iterator[tuple[str, int]]:
    """The visible text of one choice, piece by piece, each with its number of tokens."""
    total = generation.visible
    size = -(-total * generation.ask.choices // PIECES_MAX) or 1
    for start in range(0, total, size):
        end = min(start + size, total)
        yield "".join(_tokens(generation, start, end)), end - start


def thoughts(generation: Generation) -> Iterator[str]:
    """The reasoning of one choice, for dialects that can show it: a word for each token, piece by piece."""
    size = -(-generation.reasoning // PIECES_MAX) or 1
    for start in range(0, generation.reasoning, size):
        yield _CYCLE[start % len(_CYCLE)] * min(size, generation.reasoning - start)


def _tokens(generation: Generation, start: int, end: int) -> Sequence[str]:
    if generation.ask.words.output is None:
        return _answer(generation.ask)[start:end]
    length = len(_CYCLE)
    first, last = start // length, -(-end // length)
    return (_CYCLE * (last - first))[start - first * length : end - first * length]


TOOL_OPENING = '{"text":"'
TOOL_CLOSING = '"}'


def arguments(generation: Generation) -> str:
    """The arguments of a tool call as JSON; cut off where the cap ended it."""
    return "".join(piece for piece, _ in argument_pieces(generation))


def argument_pieces(generation: Generation) -> Iterator[tuple[str, int]]:
    """The arguments of a tool call: the visible text inside an object. Its punctuation belongs to the first and the last token."""
    opening, left = TOOL_OPENING, generation.visible
    for piece, tokens in pieces(generation):
        left -= tokens
        yield opening + piece + (TOOL_CLOSING if not left and not generation.truncated else ""), tokens
        opening = ""

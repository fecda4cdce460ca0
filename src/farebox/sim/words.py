"""The words `sim:name=value` by which a caller asks the simulator for a behaviour. Owns their names and limits; does nothing with them.

Read from the last user message only. An unknown name or a value out of range is refused, so that a misspelt test fails loudly.
"""

import re

import msgspec

LABEL_LENGTH_MAX = 64
TOKENS_MAX = 1_000_000
_WORD = re.compile(r"\bsim:(\w+)=([\w-]+)", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,9}", re.ASCII)

_NUMBERS = {
    "output": (0, TOKENS_MAX),
    "reasoning": (0, TOKENS_MAX),
    "cached": (0, 10 * TOKENS_MAX),
    "cache_write": (0, 10 * TOKENS_MAX),
    "cache_write_1h": (0, 10 * TOKENS_MAX),
    "web_search": (0, 100),
    "web_search_errors": (0, 100),
    "web_fetch": (0, 100),
    "code_execution": (0, 100),
    "refusal": (0, TOKENS_MAX),
    "deltas": (1, 100),
    "delay": (0, 600_000),
    "pace": (0, 60_000),
    "status": (400, 599),
    "cut": (0, TOKENS_MAX),
    "stall": (0, TOKENS_MAX),
    "fail": (0, TOKENS_MAX),
    "ignore_cap": (0, 1),
    "tool_use": (0, TOKENS_MAX),
    "queries": (0, 1000),
    "image_out": (0, TOKENS_MAX),
    "block": (0, 1),
    "image_in": (0, TOKENS_MAX),
    "audio_in": (0, TOKENS_MAX),
    "audio_out": (0, 100_000),
    "accepted": (0, TOKENS_MAX),
    "rejected": (0, TOKENS_MAX),
    "file_search": (0, 100),
    "containers": (0, 100),
    "image_gen": (0, TOKENS_MAX),
    "image_gen_in": (0, TOKENS_MAX),
    "svg": (0, TOKENS_MAX),
    "seconds": (0, 100_000),
    "polls": (0, 1000),
    "found": (0, 32_768),
    "annotations": (0, 100),
}
_ONE_OF = {
    "usage": ("missing", "partial", "zero", "negative"),
    "on_abort": ("bill_all", "bill_sent"),
    "garbage": ("html", "gzip", "badjson", "badlength", "nothing"),
    "cache_split": ("missing", "mismatch"),
    "content_filter": ("finish", "late"),
    "tool_usage": ("missing",),
    "tier": ("default", "flex", "priority", "scale"),
    "end": ("incomplete", "failed", "error"),
}
_SEVERAL = {"iterations": ("message", "compaction", "advisor_message", "fallback_message", "fallback_output", "unknown")}
_NAMES = ("bill", "code", "tool")


class BadWordError(ValueError):
    """A word that the simulator does not know, or a value that the word cannot have."""


class Words(msgspec.Struct, frozen=True, gc=False):
    """What one call asks of the simulator; the defaults are a provider that behaves."""

    bill: str = ""
    """Label under which the call is billed."""
    output: int | None = None
    """Visible output tokens per choice."""
    reasoning: int = 0
    """Hidden output tokens per choice, generated before the visible ones and counted against the cap."""
    cached: int = 0
    """Input tokens read from the provider's cache, at most all of them."""
    cache_write: int = 0
    """Input tokens written to it, at most the ones not read from it."""
    delay: int = 0
    """Milliseconds before the first byte."""
    pace: int = 0
    """Milliseconds between pieces of a stream."""
    status: int = 0
    """Answer with this error instead; not billed."""
    code: str = ""
    """The error's code, or its type where the dialect has no codes."""
    cut: int | None = None
    """Drop the connection after so many pieces."""
    stall: int | None = None
    """Send nothing after so many pieces, until the caller leaves."""
    fail: int | None = None
    """End a stream after so many pieces with the dialect's error event."""
    usage: str = ""
    """Spoil the usage that is reported; the bill stays true."""
    garbage: str = ""
    """Spoil the whole answer; it is billed, for it was generated."""
    on_abort: str = "bill_all"
    """What is billed when an answer does not reach its end."""
    ignore_cap: int = 0
    """Generate and bill what was asked although the cap is lower."""
    tool: str = ""
    """Answer with a call of the request's tool of this name; `1` is its first one."""
    tool_use: int = 0
    """Input tokens that the provider's own tools put into the prompt, beside the request's."""
    queries: int = 0
    """Queries that grounding in a search sends."""
    image_out: int = 0
    """Output tokens of an image per choice, where they fit below the cap."""
    block: int = 0
    """The prompt is blocked: its input is billed, nothing is generated."""
    cache_write_1h: int = 0
    """Input tokens written to the cache for an hour, beside `cache_write` for less."""
    cache_split: str = ""
    """Leave out how much was written for how long, or tell half of it."""
    web_search: int = 0
    """Searches of the web on the provider's side, at most as many as the request's tool allows."""
    web_search_errors: int = 0
    """More of them that fail and cost nothing."""
    web_fetch: int = 0
    """Pages fetched on the provider's side."""
    code_execution: int = 0
    """Programs run on the provider's side."""
    iterations: str = ""
    """What the answer took besides one run of the model; several kinds are joined by `-`."""
    refusal: int | None = None
    """The model refuses after so many visible tokens; at none it costs nothing."""
    deltas: int = 1
    """In how many events a stream reports its usage, each the sum so far."""
    content_filter: str = ""
    """The content filter ends the answer, or reports late."""
    image_in: int | None = None
    """Input tokens of each picture in the request, instead of what its size makes them."""
    audio_in: int | None = None
    """Input tokens of each sound in the request, instead of what its length makes them."""
    audio_out: int | None = None
    """Output tokens of sound per choice, where the request asks for sound."""
    accepted: int = 0
    """Output tokens that the request's prediction foretold, a part of the visible ones."""
    rejected: int = 0
    """Output tokens of the request's prediction that did not come true: billed, and not bounded by the cap."""
    file_search: int = 0
    """Searches in the request's files."""
    containers: int = 0
    """Containers in which the code interpreter runs."""
    image_gen: int = 0
    """Output tokens of the image tool, at its own model."""
    image_gen_in: int = 50
    """Input tokens of the image tool, where `image_gen` calls it."""
    svg: int = 0
    """Output tokens at the model that writes a drawing as SVG."""
    seconds: int | None = None
    """How long the sound is that is transcribed, instead of what its bytes say."""
    polls: int = 1
    """How often a response in the background is found unfinished."""
    tool_usage: str = ""
    """Leave out what the provider's own tools used, where it stands apart."""
    tier: str = ""
    """The service tier that serves the call, whatever it asked for."""
    end: str = ""
    """How a response ends, other than completed."""
    found: int = 200
    """Input tokens that a search of a response brings again when it is named."""
    annotations: int = 0
    """Pages that the message of a response refers to."""

    @property
    def at_once(self) -> bool:
        """Whether nothing stands between the call and the whole answer to it."""
        return self is NO_WORDS or not (self.delay or self.garbage or self.cut is not None or self.stall is not None)


NO_WORDS = Words()


def read_words(text: str) -> Words:
    """The words in a message. Raises `BadWordError` naming the one that cannot be obeyed."""
    first = text.find("sim:")
    if first < 0:
        return NO_WORDS
    found = {name: _value(name, value) for name, value in _WORD.findall(text, first)}
    return Words(**found) if found else NO_WORDS  # type: ignore[arg-type]  # _value returns what each field takes


def _value(name: str, text: str) -> int | str:
    if name in _NUMBERS:
        return _number(name, text)
    if name in _ONE_OF:
        if text not in _ONE_OF[name]:
            raise BadWordError(f"sim:{name} is one of {', '.join(_ONE_OF[name])}")
        return text
    if name in _SEVERAL:
        return _several(name, text)
    if name == "tool" and text == "0":
        return ""
    if name not in _NAMES:
        raise BadWordError(f"sim:{name[:LABEL_LENGTH_MAX]} is not a word of this simulator")
    if len(text) > LABEL_LENGTH_MAX:
        raise BadWordError(f"sim:{name} has at most {LABEL_LENGTH_MAX} characters")
    return text


def _several(name: str, text: str) -> str:
    if not set(text.split("-")) <= set(_SEVERAL[name]):
        raise BadWordError(f"sim:{name} is one or several of {', '.join(_SEVERAL[name])}, joined by -")
    return text


def _number(name: str, text: str) -> int:
    low, high = _NUMBERS[name]
    number = int(text) if _INTEGER.fullmatch(text) else -1
    if not low <= number <= high:
        raise BadWordError(f"sim:{name} is an integer from {low} to {high}")
    return number

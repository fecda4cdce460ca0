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
    "delay": (0, 600_000),
    "pace": (0, 60_000),
    "status": (400, 599),
    "cut": (0, TOKENS_MAX),
    "stall": (0, TOKENS_MAX),
    "fail": (0, TOKENS_MAX),
    "ignore_cap": (0, 1),
    "tool": (0, 1),
}
_ONE_OF = {
    "usage": ("missing", "partial", "zero", "negative"),
    "on_abort": ("bill_all", "bill_sent"),
    "garbage": ("html", "gzip", "badjson", "badlength", "nothing"),
}
_NAMES = ("bill", "code")


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
    tool: int = 0
    """Answer with a call of the first tool that the request offers."""

    @property
    def at_once(self) -> bool:
        """Whether nothing stands between the call and the whole answer to it."""
        return self is NO_WORDS or not (self.delay or self.garbage or self.cut is not None or self.stall is not None)


NO_WORDS = Words()


def read_words(text: str) -> Words:
    """The words in a message. Raises `BadWordError` naming the one that cannot be obeyed."""
    if "sim:" not in text:
        return NO_WORDS
    found = {name: _value(name, value) for name, value in _WORD.findall(text)}
    return Words(**found) if found else NO_WORDS  # type: ignore[arg-type]  # _value returns what each field takes


def _value(name: str, text: str) -> int | str:
    if name in _NUMBERS:
        return _number(name, text)
    if name in _ONE_OF:
        if text not in _ONE_OF[name]:
            raise BadWordError(f"sim:{name} is one of {', '.join(_ONE_OF[name])}")
        return text
    if name not in _NAMES:
        raise BadWordError(f"sim:{name[:LABEL_LENGTH_MAX]} is not a word of this simulator")
    if len(text) > LABEL_LENGTH_MAX:
        raise BadWordError(f"sim:{name} has at most {LABEL_LENGTH_MAX} characters")
    return text


def _number(name: str, text: str) -> int:
    low, high = _NUMBERS[name]
    number = int(text) if _INTEGER.fullmatch(text) else -1
    if not low <= number <= high:
        raise BadWordError(f"sim:{name} is an integer from {low} to {high}")
    return number

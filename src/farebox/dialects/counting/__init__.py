"""A tighter bound of a request's input than its bytes give: counted here where that is exact, else by the provider, which counts for nothing.

Owns which routes can be counted and how (providers.md §5.4, second stage). Pure, but slow: a request of a megabyte takes tens of milliseconds,
so whoever runs an event loop counts on a thread. Does not own when it is worth it (`gateway/counting.py`).
"""

from typing import Protocol

import msgspec

from farebox.dialects.base import Ask
from farebox.dialects.counting import anthropic, gemini, openai
from farebox.dialects.counting.question import Question


class Counting(Protocol):
    """How requests to one route are counted."""

    def here(self, ask: Ask, body: bytes, model: str) -> int | None:
        """The most input tokens, by the model's own tokenizer; None where that is not public, or something else than text counts too."""
        ...

    def there(self, ask: Ask, body: bytes, model: str) -> Question | None:
        """What to ask the provider; None where it does not count requests like this one."""
        ...


COUNTING: dict[tuple[str, str], Counting] = {
    ("openai", "chat_completions"): openai.Chat(),
    ("openai", "responses"): openai.Responses(),
    ("openai", "completions"): openai.Texts("prompt"),
    ("openai", "embeddings"): openai.Texts("input"),
    ("anthropic", "messages"): anthropic.Messages(),
    ("gemini", "generate_content"): gemini.Contents(),
    ("gemini", "stream_generate_content"): gemini.Contents(),
}
"""By dialect and route. Of what is not in it the bytes are the only bound, or already the exact one."""
_LISTS = ("embeddings", "completions")
"""Their inputs are several by themselves, each in the request."""


def how(ask: Ask) -> Counting | None:
    """How a request can be counted. What brings the provider to run the model more than once, or other models, cannot; nor what only a
    setting bounds.
    """
    demand = ask.demand
    if demand.fees_max or demand.admitted or demand.others or (demand.prompts > 1 and ask.route not in _LISTS):
        return None
    return COUNTING.get((ask.dialect, ask.route))


def narrowed(ask: Ask, tokens: int) -> Ask:
    """The same request, bounded by what was counted."""
    most = min(ask.demand.input_tokens_max, tokens)
    return msgspec.structs.replace(ask, demand=msgspec.structs.replace(ask.demand, input_tokens_max=most))

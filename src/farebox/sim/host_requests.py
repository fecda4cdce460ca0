"""Chat requests as the hosts of OpenAI-compatible APIs take them: what they all read, the same way. Pure."""

import msgspec

from .generation import NO_UNITS, Ask, Generation, prompt_tokens
from .openai_dialect import missing, named, tool_of, within
from .reading import NOTHING, decode, obey
from .schemas import Format, said_in
from .wire import Request

CHOICES_MAX = 128


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    messages: list[msgspec.Raw] | None = None
    tools: list[msgspec.Raw] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int | None = None
    response_format: Format | None = None


class Told(msgspec.Struct, frozen=True, gc=False):
    """What an answer wants to know again."""

    continuous: bool
    """Usage was asked for with every chunk."""


_body = msgspec.json.Decoder(_Body)


def read_chat(request: Request, *, searches: bool = False) -> Ask:
    """The request. Both names of the cap will do; the newer one wins. Whether the host's models search the web by themselves, and sell it."""
    asked = decode(_body, request.body)
    model = named(asked.model)
    if not asked.messages:
        raise missing("messages")
    words = obey(asked.messages)
    tools = asked.tools or []
    options = asked.stream_options or _StreamOptions()
    cap = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    return Ask(
        model=model,
        prompt=prompt_tokens(asked.messages, tools, NOTHING),
        cap=None if cap is None else within("max_tokens", cap, 1, 2**31, 1),
        choices=within("n", asked.n, 1, CHOICES_MAX, 1),
        streamed=bool(asked.stream),
        reports_usage=bool(options.include_usage),
        tool=tool_of(tools, words),
        words=words,
        said=said_in(asked.response_format),
        units={"web_searches": words.queries} if searches and words.queries else NO_UNITS,
        detail=Told(continuous=bool(options.include_usage and options.continuous_usage_stats)),
    )


def is_continuous(generation: Generation) -> bool:
    """Whether usage was asked for with every chunk."""
    return isinstance(generation.ask.detail, Told) and generation.ask.detail.continuous

"""OpenAI's `/v1/completions`, the old one: its requests, answers and streams. Pure."""

from collections.abc import Iterator

import msgspec

from .dialect import Frame
from .generation import Ask, Generation, pieces, text
from .openai_dialect import OpenAIDialect, named, within
from .openai_inputs import Inputs, inputs_of, tokens_of, words_in
from .reading import decode
from .refusals import invalid
from .spoil import spoil_usage
from .wire import Request

CHOICES_MAX = 128
BEST_OF_MAX = 20
CAP_DEFAULT = 16
_DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.encode


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    prompt: Inputs | None = None
    max_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


class _Shown(msgspec.Struct, frozen=True):
    """How many of the generated choices the answer has: with `best_of`, not all that are billed."""

    choices: int


_body = msgspec.json.Decoder(_Body)


class OpenAICompletions(OpenAIDialect):
    """The dialect; it has no state."""

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked = decode(_body, request.body)
        model = named(asked.model)
        choices = within("n", asked.n, 1, CHOICES_MAX, 1)
        best_of = within("best_of", asked.best_of, 1, BEST_OF_MAX, choices) if asked.best_of is not None else choices
        if best_of < choices:
            raise invalid("You requested that the server return more choices than it will generate (HINT: you must set 'n' <= 'best_of').")
        if asked.stream and best_of > choices:
            raise invalid("Results with 'best_of' greater than 'n' cannot be streamed.", param="best_of")
        prompts = inputs_of("<|endoftext|>" if asked.prompt is None else asked.prompt)
        if not prompts:
            raise invalid("Invalid type for 'prompt': expected a string or an array that is not empty.", param="prompt")
        words = words_in(prompts)
        return Ask(
            model=model,
            prompt=sum(map(tokens_of, prompts)),
            cap=within("max_tokens", asked.max_tokens, 0, 10**9, CAP_DEFAULT),
            choices=best_of * len(prompts),
            streamed=bool(asked.stream),
            reports_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            words=words,
            detail=_Shown(choices * len(prompts)),
        )

    def answer(self, generation: Generation) -> bytes:
        """A `text_completion`."""
        said, finish = text(generation), _finish(generation)
        choices = [{"text": said, "index": index, "logprobs": None, "finish_reason": finish} for index in range(_shown(generation))]
        usage = _usage(generation)
        return _encode({**_named(generation), "choices": choices, **({"usage": msgspec.Raw(usage)} if usage else {})})

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """Pieces of every choice in turn, their ends, usage if it was asked for, `[DONE]`."""
        named_as, choices = _named(generation), range(_shown(generation))
        after: dict[str, object] = {"usage": None} if generation.ask.reports_usage else {}
        for piece, tokens in pieces(generation):
            for index in choices:
                yield _frame({**named_as, "choices": [_part(index, piece, None)], **after}), tokens
        for index in choices:
            yield _frame({**named_as, "choices": [_part(index, "", _finish(generation))], **after}), 0
        usage = _usage(generation) if generation.ask.reports_usage else b""
        if usage:
            yield _frame({**named_as, "choices": [], "usage": msgspec.Raw(usage)}), 0
        yield _DONE, 0


def _shown(generation: Generation) -> int:
    return generation.ask.detail.choices if isinstance(generation.ask.detail, _Shown) else generation.ask.choices


def _named(generation: Generation) -> dict[str, object]:
    name = f"cmpl-{generation.stem.decode()}"
    return {"id": name, "object": "text_completion", "created": generation.created_s, "model": generation.ask.model}


def _part(index: int, piece: str, finish: str | None) -> dict[str, object]:
    return {"text": piece, "index": index, "logprobs": None, "finish_reason": finish}


def _frame(body: dict[str, object]) -> bytes:
    return b"data: %b\n\n" % _encode(body)


def _finish(generation: Generation) -> str:
    return "length" if generation.truncated else "stop"


def _usage(generation: Generation) -> bytes:
    prompt, output = generation.ask.prompt, generation.output_total
    usage = _encode({"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output})
    return spoil_usage(usage, generation.ask.words.usage, "prompt_tokens")

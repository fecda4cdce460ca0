"""Legacy completions: prompts instead of messages, texts instead of messages in the answer (providers.md §1.4)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from farebox import limits
from farebox.dialects import bounds, fields
from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.meter import decode, size
from farebox.dialects.openai import answer, prompts
from farebox.dialects.openai.answer import ChatMeter
from farebox.dialects.openai.chat import with_member, with_model_and_cap, with_usage
from farebox.dialects.openai.request import hides_usage
from farebox.dialects.strict import Members, read_object
from farebox.usage import IN_CACHE_READ, IN_TEXT, Demand

MAX_TOKENS_DEFAULT = 16
"""The API's own; sent along, because hosts that speak like it have other ones, or none."""
_END_OF_TEXT = "<|endoftext|>"
_BODY = fields.names(
    ("model", "prompt", "n", "best_of", "max_tokens", "stream", "stream_options"),
    (
        *("echo", "frequency_penalty", "logit_bias", "logprobs", "presence_penalty", "seed", "stop", "suffix", "temperature"),
        *("top_p", "user"),
    ),
    {
        **fields.OTHER_CAPS,
        "max_completion_tokens": "it is another route's name for the output cap, and a lenient host might follow it.",
        "service_tier": "this route has no tiers.",
        "use_beam_search": "it multiplies the output.",
        "prompt_embeds": "its tokens are not counted before the call.",
    },
)


class _Choice(msgspec.Struct, gc=False):
    text: Any = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class Completions:
    """`POST /completions`."""

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - no header moves cost
        """Reads and bounds a request: each prompt is answered `n` times, and generated `best_of` times."""
        members = read_object(body)
        unknown = fields.examine(members, _BODY)
        model = fields.text(members, "model", length_max=limits.model_name_chars_max)
        stream = fields.flag(members, "stream")
        found = _prompts(body, members)
        cap = fields.integer(members, "max_tokens", least=0)
        return Ask(
            dialect="openai",
            route=route.name,
            model=model,
            stream=stream,
            demand=Demand(
                input_tokens_max=found.tokens_max + bounds.TOKENS_PER_REQUEST_OPENAI,
                input_units=(IN_TEXT, IN_CACHE_READ),
                output_tokens_named=MAX_TOKENS_DEFAULT if cap is None else cap,
                choices=found.count * _generated(members, stream=stream),
                prompts=found.count,
            ),
            hides_usage=hides_usage(members, stream=stream),
            unknown_fields=unknown,
            messages=found.count,
            cap_field="max_tokens",
            names=frozenset(members),
            facts=cap is None,
        )

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """Sets the model, the output cap, also the API's own where none is named, and `include_usage` as for chat."""
        body = with_model_and_cap(ask, body, model=model, output_cap=None)
        if output_cap is not None or ask.facts:
            cap = ask.demand.output_tokens_named if output_cap is None else output_cap
            body = with_member(ask, body, ask.cap_field, str(cap).encode())
        return with_usage(ask, body) if ask.hides_usage else body

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer."""
        report = answer.read(ask, body)
        if report.finished:
            report.delivered_bytes += _text_bytes(body)
        return report

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed answer."""
        return CompletionsMeter(ask)


class CompletionsMeter(ChatMeter):
    """Meters one streamed completion: as a chat's, but that the output stands under another name."""

    __slots__ = ()

    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads one event."""
        said = _text_bytes(data)
        if said:
            self.delivered += said
            self._final = False
        return super().observe(event, data)


def _text_bytes(data: bytes) -> int:
    chunk = decode(_CHUNK, data)
    return sum([size(choice.text) for choice in chunk.choices or ()]) if chunk is not None else 0


def _prompts(body: bytes, members: Members) -> prompts.Prompts:
    if members.get("prompt") is None:  # the API's own default: the mark between documents
        return prompts.read(body, {**members, "prompt": _END_OF_TEXT}, "prompt")
    return prompts.read(body, members, "prompt")


def _generated(members: Members, *, stream: bool) -> int:
    shown = fields.integer(members, "n", least=1, most=limits.choices_max) or 1
    best_of = fields.integer(members, "best_of", least=1, most=limits.choices_max) or shown
    if best_of < shown:
        raise fields.invalid("best_of", "must not be less than `n`")
    if stream and best_of > shown:
        raise fields.invalid("best_of", "cannot be more than `n` in a stream")
    return best_of

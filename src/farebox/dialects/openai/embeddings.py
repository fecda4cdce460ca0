"""Embeddings: bounding what is embedded, and reading what it came to (providers.md §1.4). There is no output to bill."""

from collections.abc import Mapping
from typing import Any

import msgspec

from farebox import limits
from farebox.dialects import counts, fields
from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.meter import as_text, decode, flags_of, raw_usage
from farebox.dialects.openai import prompts
from farebox.dialects.openai.chat import with_model_and_cap
from farebox.dialects.openai.whole import WholeMeter
from farebox.dialects.strict import read_object
from farebox.usage import IN_TEXT, Demand, Usage

_BODY = fields.names(
    ("model", "input"),
    ("dimensions", "encoding_format", "user"),
    {
        "messages": "its tokens are not counted before the call.",
        "stream": "embeddings have no stream.",
    },
)
_KNOWN = frozenset(("prompt_tokens", "total_tokens", "completion_tokens"))


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    model: Any = None
    usage: Any = None
    error: Any = None


_ANSWER = msgspec.json.Decoder(_Answer)


class Embeddings:
    """`POST /embeddings`."""

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - no header moves cost
        """Reads and bounds a request: every input may fill the model's window."""
        members = read_object(body)
        unknown = fields.examine(members, _BODY)
        inputs = prompts.read(body, members, "input")
        return Ask(
            dialect="openai",
            route=route.name,
            model=fields.text(members, "model", length_max=limits.model_name_chars_max),
            stream=False,
            demand=Demand(input_tokens_max=inputs.tokens_max, input_units=(IN_TEXT,), output_units=(), prompts=inputs.count),
            unknown_fields=unknown,
            messages=inputs.count,
            names=frozenset(members),
        )

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:  # noqa: ARG002 - no output
        """Sets the model."""
        return with_model_and_cap(ask, body, model=model, output_cap=None)

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer."""
        answer = decode(_ANSWER, body)
        if answer is None:
            return Report(flags=("unreadable_answer",))
        served = as_text(answer.model)
        usage, flags = _usage(answer.usage, raw_usage(body), served)
        return Report(
            usage=usage,
            finished=answer.data is not None,
            upstream_error=answer.error is not None,
            model_served=served,
            flags=flags_of(usage, flags),
        )

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:
        """Reads a whole answer in pieces: there is no stream."""
        return WholeMeter(lambda body: self.read_answer(ask, body, headers))


def _usage(said: Any, raw: bytes, served: str) -> tuple[Usage | None, list[str]]:
    """All the tokens that were embedded; a host that says only the total means the same by it."""
    if said is None:
        return None, []
    if type(said) is not dict:
        return None, [counts.ABSURD]
    try:
        prompt = counts.required(said, "prompt_tokens" if said.get("prompt_tokens") is not None else "total_tokens")
        total = counts.optional(said, "total_tokens")
    except counts.UntrustedUsage as untrusted:
        return None, [untrusted.flag]
    flags = [counts.UNKNOWN_FIELD] if counts.counts_unknown(said, _KNOWN) else []
    if said.get("total_tokens") is not None and total != prompt:
        flags.append(counts.INCONSISTENT)
    tokens = max(prompt, total)
    return Usage(counts.nonzero([(IN_TEXT, tokens)]), tokens, served, raw=raw, flags=tuple(flags)), []

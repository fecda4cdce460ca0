"""OpenAI's `/v1/embeddings`: its requests and answers. Pure. Every vector is the same one: length one, all numbers equal."""

from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from math import sqrt
from struct import pack

import msgspec

from .dialect import Frame
from .generation import Ask, Generation
from .openai_dialect import OpenAIDialect, missing, named, one_of
from .openai_inputs import Inputs, inputs_of, tokens_of, words_in
from .reading import decode
from .refusals import invalid
from .spoil import spoil_usage
from .wire import Request
from .words import Words

INPUTS_MAX = 2048
TOKENS_MAX = 8192
"""In one input."""
TOKENS_TOTAL_MAX = 300_000
_LENGTHS = {"text-embedding-3-large": 3072}
_LENGTH = 1536
_encode = msgspec.json.encode


class _Body(msgspec.Struct):
    model: str | None = None
    input: Inputs | None = None
    dimensions: int | None = None
    encoding_format: str | None = None


class _Vectors(msgspec.Struct, frozen=True):
    """What the answer is made of."""

    count: int
    dimensions: int
    encoding: str


_body = msgspec.json.Decoder(_Body)


class OpenAIEmbeddings(OpenAIDialect):
    """The dialect; it has no state."""

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked = decode(_body, request.body)
        model = named(asked.model)
        if asked.input is None:
            raise missing("input")
        inputs = inputs_of(asked.input)
        sizes = [tokens_of(one) for one in inputs]
        if not inputs or len(inputs) > INPUTS_MAX or 0 in sizes:
            raise invalid("'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.")
        if max(sizes) > TOKENS_MAX:
            message = f"This model's maximum context length is {TOKENS_MAX} tokens, however you requested {max(sizes)} tokens."
            raise invalid(message, param="input", code="context_length_exceeded")
        if sum(sizes) > TOKENS_TOTAL_MAX:
            message = f"Requested {sum(sizes)} tokens, max {TOKENS_TOTAL_MAX} tokens per request"
            raise invalid(message, param="input", code="max_tokens_per_request")
        return Ask(
            model=model,
            prompt=sum(sizes),
            words=quiet(words_in(inputs)),
            output=0,
            several=True,
            detail=_Vectors(len(inputs), _dimensions(asked, model), one_of("encoding_format", asked.encoding_format, _ENCODINGS, "float")),
        )

    def answer(self, generation: Generation) -> bytes:
        """A list of embeddings."""
        vectors, tokens = generation.ask.detail, generation.ask.prompt
        found: list[dict[str, object]] = []
        if isinstance(vectors, _Vectors):
            vector = msgspec.Raw(_vector(vectors.dimensions, vectors.encoding))
            found = [{"object": "embedding", "index": index, "embedding": vector} for index in range(vectors.count)]
        usage = spoil_usage(_encode({"prompt_tokens": tokens, "total_tokens": tokens}), generation.ask.words.usage, "prompt_tokens")
        body: dict[str, object] = {"object": "list", "data": found, "model": generation.ask.model}
        return _encode({**body, "usage": msgspec.Raw(usage)} if usage else body)

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """It is never streamed: the same list, whatever was asked."""
        yield self.answer(generation), 0


_ENCODINGS = ("float", "base64")


def quiet(words: Words) -> Words:
    """The same words for a model that neither reasons nor has a cache: its usage has no place to say so."""
    if not (words.reasoning or words.cached or words.cache_write or words.cache_write_1h):
        return words
    return msgspec.structs.replace(words, reasoning=0, cached=0, cache_write=0, cache_write_1h=0)


def _dimensions(asked: _Body, model: str) -> int:
    length = _LENGTHS.get(model, _LENGTH)
    if asked.dimensions is None:
        return length
    if not model.startswith("text-embedding-3"):
        raise invalid("This model does not support specifying dimensions.", param="dimensions")
    if not 1 <= asked.dimensions <= length:
        raise invalid(f"Invalid value for 'dimensions' = {asked.dimensions}. Must be from 1 to {length}.", param="dimensions")
    return asked.dimensions


@lru_cache(maxsize=64)
def _vector(dimensions: int, encoding: str) -> bytes:
    """As JSON."""
    number = 1 / sqrt(dimensions)
    if encoding == "base64":
        return _encode(b64encode(pack("<f", number) * dimensions).decode())
    return _encode([number] * dimensions)

"""Gemini's embedContent and batchEmbedContents: requests, and answers without output, billed by their input. Pure."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from .dialect import Frame
from .gemini import modality_counts, reported, told_of
from .gemini_body import Told, camel, contents_of, count, decode, media_units, total, words_of
from .gemini_dialect import JSON_UTF8, Gemini
from .generation import Ask, Generation
from .reading import NOTHING
from .refusals import invalid
from .wire import Request

DIMENSIONS_DEFAULT = 3072
DIMENSIONS_MAX = 3072
BATCH_MAX = 100
_encode = msgspec.json.encode
_NUMBERS = ("0.0125", "-0.03", "0.0075", "0.02")


class _EmbedConfig(msgspec.Struct, rename="camel"):
    output_dimensionality: int | None = None


class _Embed(msgspec.Struct, rename="camel"):
    content: msgspec.Raw = NOTHING
    output_dimensionality: int | None = None
    embed_content_config: _EmbedConfig | None = None


class _Batch(msgspec.Struct):
    requests: list[_Embed] | None = None


_embed = msgspec.json.Decoder(_Embed, strict=False)
_batch = msgspec.json.Decoder(_Batch, strict=False)


class EmbedContent(Gemini):
    """`embedContent`."""

    method = "embedContent"

    def read(self, request: Request) -> Ask:
        """The request."""
        return _ask(self.model_of(request), [decode(_embed, camel(request.body))])

    def answer(self, generation: Generation) -> bytes:
        """One embedding. Its usage is missing where the API is older: ask for that with `sim:usage=missing`."""
        return _answer(generation, "embedding", _embedding(told_of(generation).dimensions))

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """Never streamed: the answer, whole."""
        yield self.answer(generation), 0


class BatchEmbedContents(EmbedContent):
    """`batchEmbedContents`."""

    method = "batchEmbedContents"

    def read(self, request: Request) -> Ask:
        """The request."""
        asked = decode(_batch, camel(request.body))
        if not asked.requests:
            raise invalid("* BatchEmbedContentsRequest.requests: requests is not specified")
        if len(asked.requests) > BATCH_MAX:
            raise invalid(f"* BatchEmbedContentsRequest.requests: at most {BATCH_MAX} requests can be in one batch")
        return _ask(self.model_of(request), asked.requests)

    def answer(self, generation: Generation) -> bytes:
        """As many embeddings as requests."""
        told = told_of(generation)
        return _answer(generation, "embeddings", [_embedding(told.dimensions)] * told.embeddings)


def _ask(model: str, requests: Sequence[_Embed]) -> Ask:
    """The words are those of the last request. Its media are counted, and billed by modality."""
    if not all(each.content for each in requests):
        raise invalid("* EmbedContentRequest.content: content is not specified")
    written = [each.content for each in requests]
    contents = contents_of(written)
    words = msgspec.structs.replace(words_of(contents[-1:]), reasoning=0, cached=0)
    modalities = count(written, contents, words)
    return Ask(
        model=model,
        prompt=total(modalities),
        output=0,
        words=words,
        units=media_units(modalities),
        content_type=JSON_UTF8,
        detail=Told(total(modalities), modalities, embeddings=len(requests), dimensions=_dimensions(requests[0])),
    )


def _dimensions(asked: _Embed) -> int:
    config = asked.embed_content_config or _EmbedConfig()
    dimensions = asked.output_dimensionality or config.output_dimensionality or DIMENSIONS_DEFAULT
    if not 1 <= dimensions <= DIMENSIONS_MAX:
        raise invalid(f"output_dimensionality must be between 1 and {DIMENSIONS_MAX}.")
    return dimensions


def _answer(generation: Generation, name: str, embedded: object) -> bytes:
    told = told_of(generation)
    usage = reported(generation, {"promptTokenCount": told.prompt, "promptTokensDetails": modality_counts(told.modalities)})
    return _encode({name: embedded} | ({} if usage is None else {"usageMetadata": usage}))


@lru_cache(maxsize=16)
def _embedding(dimensions: int) -> msgspec.Raw:
    """Numbers that mean nothing."""
    numbers = (_NUMBERS * (dimensions // len(_NUMBERS) + 1))[:dimensions]
    return msgspec.Raw(b'{"values":[%b]}' % ",".join(numbers).encode())

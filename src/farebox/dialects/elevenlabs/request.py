"""Reading and bounding a request to speak (providers.md §4, ElevenLabs).

Owns which fields move cost or reach into what others made. A text costs by its characters, whatever becomes of the sound.
"""

from urllib.parse import parse_qsl, urlencode

from farebox import limits
from farebox.dialects import fields, spans
from farebox.dialects.base import Ask, Route
from farebox.dialects.strict import read_object
from farebox.errors import InvalidRequest
from farebox.usage import CHARS, Demand

MODEL_DEFAULT = "eleven_multilingual_v2"
"""The provider's own default. It is written into a request that names no model, so that it is the one that was held for."""
_MODEL = "model_id"
_KEPT = "it refers to speech that is kept by the provider for whoever made it."
_BODY = fields.names(
    ("text", _MODEL),
    (
        *("voice_settings", "language_code", "seed", "previous_text", "next_text", "use_pvc_as_ivc", "audio_effects"),
        *("apply_text_normalization", "apply_language_text_normalization"),
    ),
    {
        "previous_request_ids": _KEPT,
        "next_request_ids": _KEPT,
        "pronunciation_dictionary_locators": "what it puts in the place of words may be longer than they are.",
    },
)
_QUERY = ("output_format", "enable_logging", "optimize_streaming_latency")
_QUERY_FIELDS_MAX = 16
_IN_PIECES = frozenset(("text_to_speech", "text_to_speech_stream", "text_to_speech_stream_timed"))


def read(route: Route, body: bytes) -> Ask:
    """Reads and bounds a request to speak. `facts` is the number of characters that are held for."""
    query_of(route.query)  # refused now, while nothing is held
    members = read_object(body)
    unknown = fields.examine(members, _BODY)
    text = fields.word(members, "text")
    if not text or not text.strip():
        raise fields.invalid("text", "is required and must not be empty")
    named = members.get(_MODEL)
    characters = characters_max(text)
    return Ask(
        dialect="elevenlabs",
        route=route.name,
        model=MODEL_DEFAULT if named is None else fields.text(members, _MODEL, length_max=limits.model_name_chars_max),
        stream=route.name in _IN_PIECES,
        demand=Demand(0, output_units=(), fees_max={CHARS: characters}),
        unknown_fields=unknown,
        names=frozenset(members) if named is not None else frozenset(members) - {_MODEL},
        binary=route.name in _IN_PIECES,
        facts=characters,
    )


def characters_max(text: str) -> int:
    """The most characters that a text is counted as. Beyond the first plane one may count as two; and where a character costs half a
    credit, the last one is rounded up to a whole.
    """
    counted = len(text.encode("utf-16-le", "surrogatepass")) // 2
    return counted + counted % 2


def with_model(ask: Ask, body: bytes, model: str | None) -> bytes:
    """The body with its model, if that is another one than it names, or if it names none."""
    if _MODEL in ask.names and model in (None, ask.model):
        return body
    literal = b'"' + (model or ask.model).encode() + b'"'
    span = spans.member(body, _MODEL)
    return spans.inserted(body, _MODEL, literal) if span is None else spans.replaced(body, span, literal)


def query_of(query: bytes) -> str:
    """What of a query goes along: how the sound is to be made. Raises InvalidRequest where a name stands twice."""
    if not query:
        return ""
    try:
        pairs = parse_qsl(query.decode("latin-1"), max_num_fields=_QUERY_FIELDS_MAX)
    except ValueError:
        raise InvalidRequest(problem="The query has too many fields.") from None
    known = [(name, value) for name, value in pairs if name in _QUERY]
    if len(dict(known)) != len(known):
        raise InvalidRequest(problem="The query names a field twice.")
    return "?" + urlencode(known) if known else ""

"""ElevenLabs' text-to-speech: whole, streamed, with timestamps, and both. Pure.

A character costs one credit times the multiplier of its model, the sum rounded up; the head of the answer says how many in `character-cost`, the bill
has them as the fee `credits`. They are paid for once the text is taken, however the answer ends. Words stand in the text and are spoken like any other.
"""

from base64 import b64encode
from collections.abc import Iterator
from fractions import Fraction
from math import ceil

import msgspec

from .dialect import Frame
from .generation import PIECES_MAX, Ask, Generation
from .prices import find_model
from .reading import decode
from .refusals import RefusedError, invalid
from .sounds import MS_PER_CHARACTER, Sound, silence, sound_of
from .wire import JSON, Request
from .words import BadWordError, Words, read_words

MODEL_DEFAULT = "eleven_multilingual_v2"
FORMAT_DEFAULT = "mp3_44100_128"
_CHARACTERS_PER_PIECE = 20
_SECOND_MS = 1000
_STATUS_OF = {
    401: "invalid_api_key",
    402: "payment_required",
    403: "missing_permissions",
    404: "voice_not_found",
    422: "invalid_request",
    429: "too_many_concurrent_requests",
    500: "internal_server_error",
    503: "service_unavailable",
}
_encode = msgspec.json.encode


class Voiced(msgspec.Struct, frozen=True):
    """A model that speaks."""

    name: str
    multiplier: Fraction
    characters_max: int


MODELS = {
    "eleven_v3": Voiced("Eleven v3", Fraction(1), 5_000),
    "eleven_multilingual_v2": Voiced("Eleven Multilingual v2", Fraction(1), 10_000),
    "eleven_flash_v2_5": Voiced("Eleven Flash v2.5", Fraction(1, 2), 40_000),
    "eleven_turbo_v2_5": Voiced("Eleven Turbo v2.5", Fraction(1, 2), 40_000),
}


class _Body(msgspec.Struct):
    text: str | None = None
    model_id: str | None = None


class _Speech(msgspec.Struct, frozen=True):
    """What the answer is made of."""

    text: str
    sound: Sound

    @property
    def pieces(self) -> int:
        """Into how many pieces a stream divides it."""
        return min(PIECES_MAX, -(-len(self.text) // _CHARACTERS_PER_PIECE))


_body = msgspec.json.Decoder(_Body)


class TextToSpeech:
    """The dialect on one of its four routes; it has no state."""

    name = "elevenlabs"
    provider = "elevenlabs"
    id_header = b"request-id"
    account_headers = b"current-concurrent-requests: 0\r\nmaximum-concurrent-requests: 10\r\nx-trace-id: sim-trace\r\n"

    def __init__(self, *, streamed: bool = False, timed: bool = False) -> None:
        self._streamed = streamed
        self._timed = timed

    def has_credential(self, request: Request) -> bool:
        """The header that carries the key."""
        return bool(request.headers.get(b"xi-api-key"))

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked = decode(_body, request.body)
        if asked.text is None:
            raise RefusedError(422, "Field required", code="missing", param="text")
        model = asked.model_id or MODEL_DEFAULT
        words = _words(asked.text, streamed=self._streamed)
        sound = _sound(request)
        voiced = MODELS.get(model)
        if not asked.text.strip():
            raise invalid("Text must not be empty.", code="invalid_text")
        if voiced is not None and len(asked.text) > voiced.characters_max:
            message = f"A maximum of {voiced.characters_max} characters is allowed with this model; the text has {len(asked.text)}."
            raise invalid(message, code="max_character_limit_exceeded")
        credits_used = ceil(len(asked.text) * voiced.multiplier) if voiced else 0
        return Ask(
            model=model,
            prompt=0,
            streamed=self._streamed,
            words=words,
            output=0,
            fees={"credits": credits_used},
            content_type=JSON if self._timed else sound.content_type,
            headers=_cost_header(credits_used, words.usage),
            detail=_Speech(asked.text, sound),
        )

    def answer(self, generation: Generation) -> bytes:
        """Sound; or the sound in base64 and when each character is spoken."""
        speech = _speech(generation)
        whole = b"".join(silence(speech.sound, len(speech.text), 1))
        return _encode(_timed(whole, speech.text, 0)) if self._timed else whole

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """The same in pieces; timed ones are a line of JSON each. A piece counts as one."""
        speech = _speech(generation)
        size = -(-len(speech.text) // speech.pieces)
        for number, sound in enumerate(silence(speech.sound, len(speech.text), speech.pieces)):
            start = number * size
            yield _encode(_timed(sound, speech.text[start : start + size], start)) + b"\n" if self._timed else sound, 1

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """A detail: of a body that does not fit its schema, or a status with a message."""
        del call_id
        if refused.param is not None:
            return _encode({"detail": [{"type": refused.code, "loc": ["body", refused.param], "msg": refused.message}]})
        return _encode(
            {"detail": {"status": refused.code or _STATUS_OF.get(refused.status, "invalid_request"), "message": refused.message}}
        )

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """There is none: sound cannot say what is wrong with it. `sim:fail` is refused."""
        del refused, call_id
        return b""

    def no_credential(self) -> RefusedError:
        """No `xi-api-key`."""
        return RefusedError(401, "Invalid API key", code="invalid_api_key")

    def unknown_model(self, name: str) -> RefusedError:
        """No such model."""
        return RefusedError(400, f"A model with model ID {name} does not exist.", code="model_not_found")

    def too_long(self, tokens: int, window: int) -> RefusedError:
        """The text has a limit of its own, checked when it is read."""
        return invalid(f"{tokens} is more than {window}", code="max_character_limit_exceeded")


def models() -> bytes:
    """Every model that speaks, with what its characters cost."""
    return _encode([_told(model, voiced) for model, voiced in MODELS.items() if find_model("elevenlabs", model) is not None])


def _told(model: str, voiced: Voiced) -> dict[str, object]:
    return {
        "model_id": model,
        "name": voiced.name,
        "can_do_text_to_speech": True,
        "can_do_voice_conversion": False,
        "token_cost_factor": float(voiced.multiplier),
        "maximum_text_length_per_request": voiced.characters_max,
        "languages": [{"language_id": "en", "name": "English"}],
        "model_rates": {"character_cost_multiplier": float(voiced.multiplier), "cost_discount_multiplier": 1.0},
    }


def _words(text: str, *, streamed: bool) -> Words:
    try:
        words = read_words(text)
    except BadWordError as problem:
        raise invalid(str(problem)) from None
    if words.fail is not None and streamed:
        raise invalid("sim:fail needs a stream of events; a stream of sound can only be cut")
    return words


def _sound(request: Request) -> Sound:
    name = request.query().get("output_format", FORMAT_DEFAULT)
    sound = sound_of(name)
    if sound is None:
        raise invalid(f"Output format {name[:80]} is not supported.", code="invalid_output_format")
    return sound


def _cost_header(credits_used: int, how: str) -> bytes:
    """What the head says the text cost: the truth, or as `sim:usage` asks."""
    told = {"": credits_used, "zero": 0, "negative": -credits_used}.get(how)
    return b"" if told is None else b"character-cost: %d\r\n" % told


def _speech(generation: Generation) -> _Speech:
    speech = generation.ask.detail
    if not isinstance(speech, _Speech):
        raise TypeError("not a request to speak")
    return speech


def _timed(sound: bytes, text: str, before: int) -> dict[str, object]:
    starts = [(before + at) * MS_PER_CHARACTER / _SECOND_MS for at in range(len(text))]
    ends = [(before + at + 1) * MS_PER_CHARACTER / _SECOND_MS for at in range(len(text))]
    alignment = {"characters": list(text), "character_start_times_seconds": starts, "character_end_times_seconds": ends}
    return {"audio_base64": b64encode(sound).decode(), "alignment": alignment, "normalized_alignment": alignment}

"""The most input tokens that a recording in a prompt can be billed as."""

from farebox.dialects.media import length, payload
from farebox.dialects.media.image import MARKERS

AUDIO_BYTES_MAX = 32 * 1024 * 1024
TOKENS_PER_S = {"openai": 10, "gemini": 32}


def audio_tokens_max(family: str, base64_text: str, *, kind: str = "") -> int | None:
    """Of a recording whose bytes are in the request. None: it cannot be bounded below the context window. `family` may be of pictures.

    `kind` is the format it is declared to have. One that has another is bounded by nothing: a reader that is told what to look for may
    find it behind the header of something shorter.
    """
    recording = payload.whole(base64_text, AUDIO_BYTES_MAX, url_safe=family.startswith("gemini"))
    if recording is None or (kind and (kind.lower() == "wav") != recording.startswith(b"RIFF")):
        return None
    bound = length.ms_max(recording)
    return audio_tokens(family, bound.ms) if bound.certain else None


def audio_tokens(family: str, ms: int) -> int:
    """Of so many milliseconds; by the dearest rate where the family is not known."""
    rate = next((rate for name, rate in TOKENS_PER_S.items() if family.startswith(name)), max(TOKENS_PER_S.values()))
    return -(-ms * rate // 1000) + MARKERS

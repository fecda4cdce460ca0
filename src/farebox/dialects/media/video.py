"""The most input tokens that a film can be billed as. Its bytes bound nothing: a still hour takes no more room than a still second."""

from farebox.dialects.media.audio import audio_tokens
from farebox.dialects.media.image import MARKERS

TOKENS_PER_FRAME = {"gemini2": 258, "gemini3": 280, "gemini_any": 280}
TOKENS_PER_TIMESTAMP = 10


def video_tokens_max(family: str, ms: int | None, *, frames_per_1000_s: int = 1000) -> int | None:
    """Of a film that lasts at most so long, its sound included. None: no less than the context window, as whenever its length is not known."""
    per_frame = TOKENS_PER_FRAME.get(family)
    if ms is None or per_frame is None:
        return None
    frames = -(-ms * frames_per_1000_s // 1_000_000) + 1
    return frames * (per_frame + TOKENS_PER_TIMESTAMP) + audio_tokens(family, ms) + MARKERS

"""Where ElevenLabs' API is served: with its own prefix, and bare as its SDK takes a base URL. The voice stands in the path."""

from farebox.dialects.base import Headers, Route
from farebox.dialects.patterns import object_id

_BASES = ("/elevenlabs/v1", "/v1")
_OTHERS_HAVE_IT_TOO = "/v1"
_SPEECH = "/text-to-speech/"
_KINDS = {
    "": "text_to_speech",
    "/stream": "text_to_speech_stream",
    "/with-timestamps": "text_to_speech_timed",
    "/stream/with-timestamps": "text_to_speech_stream_timed",
}
"""What follows the voice, and what that route is called here."""
MODELS = Route("elevenlabs", "models", "GET", kind="models")
CALLS = tuple(Route("elevenlabs", name, "POST", "/v1" + _SPEECH) for name in _KINDS.values())
"""The routes that name a voice, with none."""
EXACT = {("GET", base + "/models"): MODELS for base in _BASES if base != _OTHERS_HAVE_IT_TOO}


def find(method: str, path: str, query: bytes, headers: Headers) -> Route | None:  # noqa: ARG001 - the same for every dialect
    """A route whose path names something."""
    for base in _BASES:
        if path.startswith(base + _SPEECH):
            voice, slash, rest = path[len(base + _SPEECH) :].partition("/")
            name = _KINDS.get(slash + rest)
            if name is None or object_id(voice, "") is None:
                return None
            return Route("elevenlabs", name, "POST", f"/v1{_SPEECH}{voice}{slash}{rest}", argument=voice, query=query)
    return None

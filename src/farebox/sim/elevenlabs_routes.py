"""ElevenLabs' routes: text-to-speech in its four kinds, and its models, on the path that others list theirs on too."""

from . import elevenlabs
from .desk import Desk, admit
from .replies import Reply
from .routes import generating
from .wire import Request

SPEAKER = elevenlabs.TextToSpeech()
_PATH = "/v1/text-to-speech/{voice}"


def is_meant(request: Request) -> bool:
    """Whether the headers speak to ElevenLabs where the path does not tell."""
    return b"xi-api-key" in request.headers


def models(desk: Desk, request: Request) -> Reply:
    """Every model."""
    admit(SPEAKER, request)
    return desk.answer(SPEAKER, request, elevenlabs.models())


ROUTES = (
    generating("POST", _PATH, SPEAKER),
    generating("POST", f"{_PATH}/stream", elevenlabs.TextToSpeech(streamed=True)),
    generating("POST", f"{_PATH}/with-timestamps", elevenlabs.TextToSpeech(timed=True)),
    generating("POST", f"{_PATH}/stream/with-timestamps", elevenlabs.TextToSpeech(streamed=True, timed=True)),
)

"""OpenAI's routes, and the paths it shares with Anthropic, ElevenLabs and Gemini: whoever the headers name answers those."""

from . import anthropic_routes, catalogue, elevenlabs_routes, gemini_routes, openai_moderations, openai_stored
from .desk import Desk, admit
from .openai_chat import OpenAIChat
from .openai_completions import OpenAICompletions
from .openai_embeddings import OpenAIEmbeddings
from .openai_images import OpenAIImages
from .openai_speech import OpenAISpeech
from .openai_transcriptions import OpenAITranscriptions
from .replies import Reply
from .routes import Route, generating
from .wire import Request

CHAT = OpenAIChat()
COMPLETIONS = OpenAICompletions()
EMBEDDINGS = OpenAIEmbeddings()
GENERATIONS = OpenAIImages()
EDITS = OpenAIImages(edits=True)
SPEECH = OpenAISpeech()
TRANSCRIPTIONS = OpenAITranscriptions()
TRANSLATIONS = OpenAITranscriptions(translates=True)


def _models(desk: Desk, request: Request) -> Reply:
    if elevenlabs_routes.is_meant(request):
        return elevenlabs_routes.models(desk, request)
    if gemini_routes.is_meant(request):
        return gemini_routes.models(desk, request)
    if anthropic_routes.is_meant(request):
        return anthropic_routes.models(desk, request)
    admit(CHAT, request)
    return desk.answer(CHAT, request, catalogue.openai_models())


def _model(desk: Desk, request: Request) -> Reply:
    if gemini_routes.is_meant(request):
        return gemini_routes.model(desk, request)
    if anthropic_routes.is_meant(request):
        return anthropic_routes.model(desk, request)
    admit(CHAT, request)
    return desk.answer(CHAT, request, catalogue.openai_model(request.arguments["model"]))


ROUTES = (
    generating("POST", "/v1/chat/completions", CHAT),
    Route("POST", "/v1/responses", openai_stored.create, CHAT),
    Route("POST", "/v1/responses/input_tokens", openai_stored.count, CHAT),
    Route("POST", "/v1/responses/compact", openai_stored.compact, CHAT),
    Route("GET", "/v1/responses/{id}", openai_stored.retrieve, CHAT),
    Route("DELETE", "/v1/responses/{id}", openai_stored.delete, CHAT),
    Route("POST", "/v1/responses/{id}/cancel", openai_stored.cancel, CHAT),
    Route("GET", "/v1/responses/{id}/input_items", openai_stored.input_items, CHAT),
    generating("POST", "/v1/completions", COMPLETIONS),
    generating("POST", "/v1/embeddings", EMBEDDINGS),
    generating("POST", "/v1/images/generations", GENERATIONS),
    generating("POST", "/v1/images/edits", EDITS),
    generating("POST", "/v1/audio/speech", SPEECH),
    generating("POST", "/v1/audio/transcriptions", TRANSCRIPTIONS),
    generating("POST", "/v1/audio/translations", TRANSLATIONS),
    Route("POST", "/v1/moderations", openai_moderations.moderate, CHAT),
    Route("GET", "/v1/models", _models),
    Route("GET", "/v1/models/{model}", _model),
)

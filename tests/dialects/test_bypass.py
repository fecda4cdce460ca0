"""No way round: what would give a caller the provider's own door, or work that no meter sees, is no route in any dialect (providers.md §0.2)."""

import pytest

from farebox.dialects.base import Headers
from farebox.dialects.routes import match
from farebox.errors import MethodNotAllowed, RouteNotFound

_OPENAI = (
    *("realtime/client_secrets", "realtime/sessions", "realtime/transcription_sessions", "realtime/calls", "realtime/calls/rtc_1/accept"),
    *("realtime", "realtime/translations", "live/sessions", "live/sessions/s/events"),
    *("fine_tuning/jobs", "fine_tuning/jobs/ftjob-1", "fine_tuning/checkpoints/c/permissions", "fine-tunes", "evals", "evals/e/runs"),
    *("uploads", "uploads/upload_1/parts", "uploads/upload_1/complete", "files", "files/file-1", "files/file-1/content"),
    *("vector_stores", "vector_stores/vs_1/files", "vector_stores/vs_1/search", "containers", "containers/cntr_1/files"),
    *("batches", "batches/batch_1", "batches/batch_1/cancel", "assistants", "threads", "threads/t/runs", "chatkit/sessions"),
    *("conversations", "conversations/conv_1", "conversations/conv_1/items", "videos", "videos/video_1/content", "videos/video_1/remix"),
    *("decisions", "responses/compact", "audio/voices", "audio/voice_consents", "images/variations", "skills", "graders/run"),
    *("organization/admin_api_keys", "organization/projects", "organization/costs", "organization/usage/completions", "engines"),
    *("chat/completions/chatcmpl-1", "chat/completions/chatcmpl-1/messages", "prompts", "rerank", "models/x/delete"),
)
_ANTHROPIC = (
    *("messages/batches", "messages/batches/msgbatch_1/results", "files", "files/file_1/content", "skills", "skills/s/versions"),
    *("sessions", "sessions/s/events", "agents", "agents/a", "deployments", "environments", "threads", "threads/t", "vaults", "complete"),
    *("organizations/api_keys", "organizations/usage_report/messages", "organizations/spend_limits", "user_profiles", "memory_stores"),
    *("models/claude/stream", "oauth/token", "messages/count_tokens/x", "mcp/servers"),
)
_GEMINI = (
    *("auth_tokens", "files", "files/f", "cachedContents", "cachedContents/c", "interactions", "interactions/i", "batches", "tunedModels"),
    *(
        "models/m:batchGenerateContent",
        "models/m:asyncBatchEmbedContent",
        "models/m:predictLongRunning",
        "models/m:predict",
        "operations/o",
    ),
    *(
        "models/m:bidiGenerateContent",
        "fileSearchStores",
        "fileSearchStores/s:uploadToFileSearchStore",
        "corpora",
        "dynamic/d:generateContent",
    ),
    *("tunedModels/t:generateContent", "models/m:generateAnswer", "files:register", "models/m:generateText", "models/m:generateContent:x"),
)
_ELEVENLABS = (
    *(
        "single-use-token/realtime_scribe",
        "single-use-token/tts_websocket",
        "convai/conversation/get-signed-url",
        "convai/conversation/token",
    ),
    *("convai/agents/create", "dubbing", "dubbing/d/audio/en", "voices/add", "voices/v/edit", "voice-generation/create-voice"),
    *(
        "text-to-voice/design",
        "text-to-voice/create-previews",
        "speech-to-speech/v",
        "speech-to-speech/v/stream",
        "sound-generation",
        "music",
    ),
    *("audio-isolation", "speech-to-text", "studio/projects", "history", "history/h/audio", "history/download", "workspace/invites"),
    *("text-to-speech/v/stream-input", "text-to-speech/v/multi-stream-input", "service-accounts/s/api-keys", "pronunciation-dictionaries"),
)
_BEDROCK = (
    *("/model/m/invoke-with-bidirectional-stream", "/async-invoke", "/model-invocation-job", "/guardrail/g/version/1/apply"),
    *("/agents/a/agentAliases/b/sessions/s/text", "/retrieveAndGenerate", "/knowledgebases/k/retrieve", "/provisioned-model-throughput"),
    *("/flows/f/aliases/a", "/inference-profiles", "/foundation-models", "/custom-models/create-custom-model", "/model-customization-jobs"),
)
_UPLOADS = (
    "/upload/v1beta/files",
    "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore",
    "/download/v1beta/files/f:download",
    "/upload/v1/files",
)
_PATHS = [
    *(prefix + path for prefix in ("/v1/", "/openai/v1/") for path in _OPENAI),
    *(prefix + path for prefix in ("/v1/", "/anthropic/v1/") for path in _ANTHROPIC),
    *(prefix + path for prefix in ("/v1beta/", "/v1/", "/v1alpha/", "/gemini/v1beta/", "/gemini/v1/") for path in _GEMINI),
    *(prefix + path for prefix in ("/v1/", "/v2/", "/elevenlabs/v1/") for path in _ELEVENLABS),
    *(prefix + path for prefix in ("", "/bedrock") for path in _BEDROCK),
    *_UPLOADS,
    *(prefix + path for prefix in ("", "/gemini") for path in _UPLOADS),
    *("/sim/calls", "/sim/bill", "/v1/usage/character-stats", "/v1/user/subscription", "/v1/user"),
]
_WHO: tuple[Headers, ...] = (
    (),
    ((b"anthropic-version", b"2023-06-01"),),
    ((b"x-goog-api-key", b"k"),),
    ((b"xi-api-key", b"k"),),
    ((b"api-key", b"k"),),
)


_ANSWERED_HERE = ("model", "models")
_ONLY_OWN = "owned"


@pytest.mark.parametrize("path", sorted(set(_PATHS)))
def test_no_dialect_has_a_way_round(path: str) -> None:
    """By any method, in whosever words the caller speaks. (A name that reads as a model's, or as that of a stored response, is looked up here.)"""
    for headers in _WHO:
        for method in ("POST", "GET", "PUT", "PATCH", "DELETE"):
            try:
                route = match(method, path, headers)
            except RouteNotFound:
                continue
            except MethodNotAllowed:
                continue
            assert route.kind in _ANSWERED_HERE or (route.kind == _ONLY_OWN and method in ("GET", "DELETE"))

"""How each host of OpenAI-compatible APIs words its errors: one function for each true shape. Pure."""

from collections.abc import Callable

from .gemini_dialect import status_of
from .refusals import RefusedError

Error = Callable[[RefusedError], object]
_SERVER = 500
_RATE = 429
_MONEY = 402
_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def openai(refused: RefusedError) -> object:
    """OpenAI's: Groq, Together, Ollama and whoever copies it."""
    return {"error": {"message": refused.message, "type": _type(refused.status), "param": refused.param, "code": refused.code or None}}


def deepseek(refused: RefusedError) -> object:
    """OpenAI's, and its own words for an empty account."""
    message = "Insufficient Balance" if refused.status == _MONEY else refused.message
    kind = "unknown_error" if refused.status == _MONEY else _type(refused.status)
    return {"error": {"message": message, "type": kind, "param": refused.param, "code": refused.code or "invalid_request_error"}}


def mistral(refused: RefusedError) -> object:
    """An object without an envelope."""
    return {
        "object": "error",
        "message": refused.message,
        "type": _type(refused.status),
        "param": refused.param,
        "code": refused.code or None,
    }


def xai(refused: RefusedError) -> object:
    """Two strings."""
    return {"code": refused.code or _PHRASES.get(refused.status, "Some resource has been exhausted"), "error": refused.message}


def openrouter(refused: RefusedError) -> object:
    """The status as the code, and what an upstream said as metadata."""
    error: dict[str, object] = {"message": refused.message, "code": refused.status}
    if refused.code:
        error["metadata"] = {"error_type": refused.code}
    return {"error": error}


def fireworks(refused: RefusedError) -> object:
    """OpenAI's without code and parameter, marked as an error."""
    return {"error": {"object": "error", "type": _type(refused.status), "message": refused.message, **_named(refused)}}


def perplexity(refused: RefusedError) -> object:
    """The status as the code."""
    return {"error": {"message": refused.message, "type": refused.code or _type(refused.status), "code": refused.status}}


def cohere(refused: RefusedError) -> object:
    """A message."""
    return {"message": refused.message}


def vllm(refused: RefusedError) -> object:
    """The status as the code, its phrase as the type."""
    kind = refused.code or f"{_PHRASES.get(refused.status, 'Internal Server Error').replace(' ', '')}Error"
    return {"error": {"message": refused.message, "type": kind, "param": refused.param, "code": refused.status}}


def google(refused: RefusedError) -> object:
    """A status of Google's APIs, in an array."""
    return [status_of(refused)]


def _named(refused: RefusedError) -> dict[str, str]:
    return {"code": refused.code} if refused.code else {}


def _type(status: int) -> str:
    if status == _RATE:
        return "rate_limit_error"
    return "invalid_request_error" if status < _SERVER else "server_error"

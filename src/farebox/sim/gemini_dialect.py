"""What all of Gemini's methods say alike: credentials, errors, and the model in the path. Pure."""

import msgspec

from .refusals import RefusedError, invalid
from .wire import Request

JSON_UTF8 = b"application/json; charset=UTF-8"
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_NAMES = frozenset({*_STATUSES.values(), "FAILED_PRECONDITION", "OUT_OF_RANGE"})
_QUOTA_DETAILS = [
    {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaMetric": "generativelanguage.googleapis.com/generate_content_paid_tier_requests"}],
    },
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
]
_encode = msgspec.json.encode


class Gemini:
    """What every method of the API has in common. One object speaks for one call: version and model stand in its path."""

    name = "gemini"
    provider = "google"
    id_header = b"x-sim-request-id"
    """The API has no header for it: the same id stands in the answer as `responseId`."""
    account_headers = b""
    method = "generateContent"
    """The method as the path names it."""

    def __init__(self, version: str = "v1beta") -> None:
        self._version = version

    def has_credential(self, request: Request) -> bool:
        """A key in a header of its own or in the query, or a token."""
        token = request.headers.get(b"authorization", b"").removeprefix(b"Bearer ").strip()
        return bool(request.headers.get(b"x-goog-api-key") or token or (b"key=" in request.target and request.query().get("key")))

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """A status of Google's APIs."""
        del call_id
        return _encode(status_of(refused))

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The same object as an event."""
        return b"data: " + self.error(refused, call_id) + b"\r\n\r\n"

    def no_credential(self) -> RefusedError:
        """No key anywhere."""
        return RefusedError(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API.",
        )

    def unknown_model(self, name: str) -> RefusedError:
        """No such model, or not for this method."""
        return RefusedError(
            404,
            f"models/{name} is not found for API version {self._version}, or is not supported for {self.method}. "
            "Call ListModels to see the list of available models and their supported methods.",
        )

    def too_long(self, tokens: int, window: int) -> RefusedError:
        """Too long for the model."""
        return invalid(f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({window}).")

    def model_of(self, request: Request) -> str:
        """The model that the path names. Google's cloud sells Claude under the same prices' name, this API does not."""
        model = request.arguments["model"]
        if model.startswith("claude"):
            raise self.unknown_model(model)
        return model


def status_of(refused: RefusedError) -> dict[str, object]:
    """A status of Google's APIs. A code that is one of their names is its name."""
    kind = _STATUSES.get(refused.status, "INVALID_ARGUMENT" if refused.status < 500 else "INTERNAL")  # noqa: PLR2004  # HTTP's own number
    error: dict[str, object] = {"code": refused.status, "message": refused.message, "status": kind}
    if refused.code in _NAMES:
        error["status"] = refused.code
    elif refused.code:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": refused.code, "domain": "googleapis.com"}]
    elif refused.status == 429:  # noqa: PLR2004  # HTTP's own number
        error["details"] = _QUOTA_DETAILS
    return {"error": error}

"""Saying no in Bedrock's words: kinds of errors, which the head of an answer tells, and exceptions within a stream."""

from typing import Any

import msgspec

from farebox.dialects import words
from farebox.dialects.bedrock import frames
from farebox.errors import NoMoney, Refusal

_TYPES = {
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    409: "ConflictException",
    429: "ThrottlingException",
    500: "InternalServerException",
    502: "InternalServerException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
_NO_MONEY = "ServiceQuotaExceededException"
"""The one of the API's own that the SDKs neither repeat nor take for a wrong key."""
_IN_STREAM = {429: "throttlingException", 500: "internalServerException", 503: "serviceUnavailableException"}
"""The exceptions that a stream can end with. What went wrong at the provider is an error of the model's stream."""
_SERVER_ERRORS_FROM = 500


def error_type(refusal: Refusal) -> bytes:
    """What `x-amzn-errortype` says of a refusal."""
    fallback = _TYPES[500] if refusal.status >= _SERVER_ERRORS_FROM else "ValidationException"
    return (_NO_MONEY if isinstance(refusal, NoMoney) else _TYPES.get(refusal.status, fallback)).encode()


def body(refusal: Refusal, request_id: str) -> bytes:
    """`{message, farebox}`."""
    return msgspec.json.encode({"message": words.message(refusal), "farebox": words.facts(refusal, request_id)})


def frame(refusal: Refusal, request_id: str) -> bytes:
    """The exception that ends a stream."""
    kind = _IN_STREAM.get(refusal.status)
    told: dict[str, Any] = {"message": words.message(refusal), "farebox": words.facts(refusal, request_id)}
    if kind is None:
        kind = "validationException" if refusal.status < _SERVER_ERRORS_FROM else "modelStreamErrorException"
    if kind == "modelStreamErrorException":
        told |= {"originalStatusCode": refusal.status, "originalMessage": told["message"]}
    return frames.exception(kind, msgspec.json.encode(told))

"""What all of OpenAI's routes say alike: headers, credentials, errors, tiers and the choice of a tool. Pure."""

from collections.abc import Sequence

import msgspec

from .generation import PLAIN, Part, Terms
from .prices import find_model
from .reading import decode, has_bearer
from .refusals import RefusedError, invalid
from .wire import Request
from .words import Words

_FAST = Terms(service_tier="priority")
_TIERS = {"flex": Terms(service_tier="flex"), "priority": _FAST, "fast": _FAST, "scale": Terms(service_tier="scale")}
_QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
_CODE_OF_STATUS = {401: "invalid_api_key", 402: "insufficient_quota", 429: "rate_limit_exceeded"}


class _Function(msgspec.Struct):
    name: str = "tool"


class _Tool(msgspec.Struct):
    function: _Function | None = None
    name: str = ""
    type: str = "function"


_tool = msgspec.json.Decoder(_Tool)


class OpenAIDialect:
    """The part of a dialect that does not depend on the route."""

    name = "openai"
    provider = "openai"
    id_header = b"x-request-id"
    account_headers = (
        b"openai-organization: sim-organization\r\nopenai-project: proj_sim\r\nopenai-version: 2020-10-01\r\n"
        b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\nx-ratelimit-reset-requests: 6ms\r\n"
    )

    def has_credential(self, request: Request) -> bool:
        """A bearer key."""
        return has_bearer(request)

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """An error object; its request id is in the header only."""
        del call_id
        code = refused.code or _CODE_OF_STATUS.get(refused.status)
        return msgspec.json.encode(
            {"error": {"message": refused.message, "type": _error_type(refused.status, code), "param": refused.param, "code": code}}
        )

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The same object as an event."""
        return b"data: " + self.error(refused, call_id) + b"\n\n"

    def no_credential(self) -> RefusedError:
        """No bearer key."""
        return RefusedError(401, "You didn't provide an API key. Provide it in an Authorization header using Bearer auth.")

    def unknown_model(self, name: str) -> RefusedError:
        """No such model."""
        return RefusedError(
            404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found", param="model"
        )

    def too_long(self, tokens: int, window: int) -> RefusedError:
        """Too long for the model."""
        message = f"This model's maximum context length is {window} tokens. However, your messages resulted in {tokens} tokens."
        return invalid(message, param="messages", code="context_length_exceeded")


def named(model: str | None) -> str:
    """The model that the request names. Raises `RefusedError` when it names none."""
    if not model:
        raise invalid("you must provide a model parameter")
    return model


def missing(name: str) -> RefusedError:
    """A parameter that must be there is not."""
    return invalid(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def within(name: str, value: int | None, low: int, high: int, default: int) -> int:
    """A number of the request. Raises `RefusedError` when it is out of its range."""
    number = default if value is None else value
    if not low <= number <= high:
        raise invalid(f"Invalid value for '{name}': expected an integer from {low} to {high}.", param=name)
    return number


def one_of(name: str, value: str | None, allowed: Sequence[str], default: str) -> str:
    """A name in the request. Raises `RefusedError` when it is none of those that the provider knows."""
    if value is None:
        return default
    if value not in allowed:
        shown = ", ".join(f"'{each}'" for each in allowed)
        raise invalid(f"Invalid value: '{value[:80]}'. Supported values are: {shown}.", param=name, code="invalid_value")
    return value


def check_parts(dialect: OpenAIDialect, parts: Sequence[Part]) -> None:
    """Raise `RefusedError` when a tool asks for a model that there is not."""
    for part in parts:
        if find_model(dialect.provider, part.model) is None:
            raise dialect.unknown_model(part.model)


def terms(tier: str | None, words: Words, *, cache_ttl: str = "") -> Terms:
    """Which tier serves the call, and how long what it writes to the cache stays."""
    asked = words.tier or tier
    found = _TIERS.get(asked, PLAIN) if asked else PLAIN
    if not cache_ttl or not words.cache_write:
        return found
    return Terms(service_tier=found.service_tier, cache_ttl=cache_ttl)


def tool_of(tools: Sequence[msgspec.Raw], words: Words) -> str | None:
    """The function to call: the request's first, or the one that the words name. None without tools, or when nobody asked."""
    if not words.tool or not tools:
        return None
    read = [decode(_tool, tool) for tool in tools]
    names = [tool.function.name if tool.function else tool.name for tool in read if tool.type == "function"]
    if words.tool == "1":
        return names[0] if names else None
    if words.tool not in names:
        raise invalid(f"sim:tool={words.tool}: the request has no function of this name")
    return words.tool


def _error_type(status: int, code: str | None) -> str:
    if code in _QUOTA_CODES:
        return "insufficient_quota"
    if status == 429:  # noqa: PLR2004  # HTTP's own number
        return "rate_limit_exceeded"
    return "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004  # HTTP's own number

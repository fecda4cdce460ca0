"""Azure OpenAI: any of OpenAI's dialects behind a deployment, with Azure's errors and content filter. Pure.

Azure lists OpenAI's prices for OpenAI's models, and sells no others here. What it charges although it answers with an error: 400 `content_filter`
and 408, for both were processed. The input tokens of those are billed, and no answer tells how many they are.
"""

from collections.abc import Iterator, Mapping

import msgspec

from .dialect import Dialect, Frame
from .generation import Ask, Generation
from .multipart import form_of
from .prices import find_model
from .reading import decode, has_bearer
from .refusals import RefusedError, invalid
from .wire import Request

PROVIDER = "openai"
USAGE_SINCE = "2024-09-01-preview"
"""The first `api-version` whose streams report usage."""
CONTENT_FILTER = "content_filter"
_SEPARATORS = "-_."
_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_UNSAFE = _SAFE | {"violence": {"filtered": True, "severity": "high"}}
_encode = msgspec.json.encode
_RESULTS = _encode(_SAFE)
_PROMPT_RESULTS = b'"prompt_filter_results":[{"prompt_index":0,"content_filter_results":%b}]' % _RESULTS
_FIRST = b'data: {"id":"","object":"","created":0,"model":"",%b,"choices":[]}\n\n' % _PROMPT_RESULTS
_LATE = (
    b'data: {"id":"","object":"","created":0,"model":"","choices":[{"index":%d,"finish_reason":null,"content_filter_results":%b,'
    b'"content_filter_offsets":{"check_offset":0,"start_offset":0,"end_offset":%d}}]}\n\n'
)
_DONE = b"data: [DONE]\n\n"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_name = msgspec.json.Decoder(str)
_MESSAGES = {
    401: "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription.",
    408: "The operation was timeout.",
    429: "Requests to this operation have exceeded the rate limit of your current pricing tier. Please retry after 1 second.",
}


def model_of(deployment: str, configured: Mapping[str, str]) -> str:
    """The model behind a deployment: the configured one, the one of that very name, else the longest that the name ends with after a `-`, `_` or `.`.

    A name behind which there is none is given back as it is.
    """
    if deployment in configured:
        return configured[deployment]
    ends = [deployment, *[deployment[at + 1 :] for at, letter in enumerate(deployment) if letter in _SEPARATORS]]
    return next((name for name in ends if name and find_model(PROVIDER, name) is not None), deployment)


def _is_form(request: Request) -> bool:
    return request.headers.get(b"content-type", b"").startswith(b"multipart/")


def named(request: Request) -> str:
    """The deployment that a body names, on paths that name none."""
    if _is_form(request):
        return form_of(request).fields.get("model", "")
    return decode(_name, decode(_members, request.body).get("model", msgspec.Raw(b'""')))


def _for(request: Request, model: str) -> Request:
    """The request as it would be sent to OpenAI."""
    if _is_form(request):
        body, end, after = request.body.rpartition(b"\r\n--")
        field = b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + model.encode()
        return msgspec.structs.replace(request, body=body + end + after.strip(b"\r\n-") + field + end + after)
    members = decode(_members, request.body)
    members["model"] = msgspec.Raw(_encode(model))
    return msgspec.structs.replace(request, body=_encode(members))


class Azure:
    """One of OpenAI's dialects as Azure speaks it; the route's arguments hold the model behind the deployment. It has no state."""

    name = "azure"
    provider = PROVIDER
    id_header = b"x-request-id"
    account_headers = b"x-ms-region: East US\r\napim-request-id: sim-apim\r\nx-ratelimit-remaining-requests: 9999\r\n"

    def __init__(self, base: Dialect, *, filters: bool = False) -> None:
        self._base = base
        self._filters = filters

    def has_credential(self, request: Request) -> bool:
        """A key of the resource, or an Entra token."""
        return has_bearer(request) or bool(request.headers.get(b"api-key"))

    def read(self, request: Request) -> Ask:
        """The request, for the model behind the deployment."""
        version = request.query().get("api-version")
        if self._filters and version is not None and version < USAGE_SINCE and "stream_options" in decode(_members, request.body):
            raise invalid("Unrecognized request argument supplied: stream_options")
        ask = self._base.read(_for(request, request.arguments["model"]))
        words = ask.words
        charged = words.status == 408 or (words.status == 400 and words.code == CONTENT_FILTER)  # noqa: PLR2004  # HTTP's own numbers
        return msgspec.structs.replace(ask, refusal_billed=charged)

    def answer(self, generation: Generation) -> bytes:
        """OpenAI's, with what the content filter found."""
        answer = self._base.answer(generation)
        if not self._filters:
            return answer
        return self._filtered(answer, generation).replace(b'"choices":[', b'%b,"choices":[' % _PROMPT_RESULTS, 1)

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """OpenAI's; before them what the filter found in the prompt, and, where it works late, after them what it found in the answer."""
        if self._filters:
            yield _FIRST, 0
        late = self._filters and generation.ask.words.content_filter == "late"
        for data, tokens in self._base.frames(generation):
            if late and data == _DONE:
                yield from [(_LATE % (index, _RESULTS, generation.visible * 5), 0) for index in range(generation.ask.choices)]
            yield (self._filtered(data, generation) if self._filters else data), tokens

    def _filtered(self, data: bytes, generation: Generation) -> bytes:
        """What was found beside every choice. No text of an answer can hold these quotes: there they are escaped."""
        found = _RESULTS
        if generation.ask.words.content_filter == "finish":
            data = data.replace(b'"finish_reason":"stop"', b'"finish_reason":"content_filter"')
            found = _encode(_UNSAFE) if b'"finish_reason":"content_filter"' in data else found
        return data.replace(b',"logprobs":null,"finish_reason":', b',"content_filter_results":%b,"logprobs":null,"finish_reason":' % found)

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """Azure's own objects for its own errors, OpenAI's for the model's."""
        if refused.status == 400 and refused.code == CONTENT_FILTER:  # noqa: PLR2004  # HTTP's own number
            return _encode({"error": _filtered_prompt()})
        if refused.status in _MESSAGES or refused.code == "DeploymentNotFound":
            message = _MESSAGES.get(refused.status, refused.message)
            return _encode({"error": {"code": refused.code or str(refused.status), "message": message}})
        return self._base.error(refused, call_id)

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The same object as an event."""
        return b"data: " + self.error(refused, call_id) + b"\n\n"

    def no_credential(self) -> RefusedError:
        """Neither `api-key` nor a bearer token."""
        return RefusedError(401, _MESSAGES[401])

    def unknown_model(self, name: str) -> RefusedError:
        """No such deployment."""
        del name
        message = (
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
            "please wait a moment and try again."
        )
        return RefusedError(404, message, code="DeploymentNotFound")

    def too_long(self, tokens: int, window: int) -> RefusedError:
        """Too long for the model."""
        return self._base.too_long(tokens, window)


def _filtered_prompt() -> dict[str, object]:
    return {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
        "Please modify your prompt and retry.",
        "type": None,
        "param": "prompt",
        "code": CONTENT_FILTER,
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _UNSAFE},
    }

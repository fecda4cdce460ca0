"""Reading and bounding a Converse request (providers.md §4, §5.4, §6).

Owns which fields move cost and which are refused because their cost has no bound. Does not own prices. What goes to the model in its own
words (`additionalModelRequestFields`) is an allow-list: anything there might be a tool, another cap, or another payer.
"""

from farebox import limits
from farebox.dialects import bounds, fields
from farebox.dialects.base import Ask, Route
from farebox.dialects.bedrock.content import Content
from farebox.dialects.bedrock.names import arn_of, priced_name
from farebox.dialects.extras import Bounds, ByFee, Extras
from farebox.dialects.strict import Members, read_object
from farebox.errors import AmbiguousBody, InvalidRequest
from farebox.usage import IN_CACHE_READ, IN_TEXT, Conditions, Demand

_PROMPT = "it fills in a prompt that is kept by the provider and is not in the request."
_NATIVE = "additionalModelRequestFields."
_BODY = fields.names(
    (
        *("messages", "system", "inferenceConfig", "toolConfig", "serviceTier", "performanceConfig", "additionalModelRequestFields"),
        "modelId",
    ),
    ("additionalModelResponseFieldPaths", "requestMetadata", "outputConfig"),
    {
        "guardrailConfig": ByFee("what a guardrail costs is charged beside the model, and has no price here."),
        "promptVariables": _PROMPT,
        "maxTokens": "it belongs into inferenceConfig.",
        **fields.OTHER_CAPS,
    },
)
_INFERENCE = fields.names(("maxTokens",), ("temperature", "topP", "stopSequences"), fields.OTHER_CAPS)
_OWN_WORDS = fields.names(
    ("thinking", "reasoning_config", "inferenceConfig", "anthropic_beta"),
    (
        *("top_k", "topK", "k", "top_p", "p", "temperature", "seed", "stop_sequences", "frequency_penalty", "presence_penalty"),
        *("reasoning_effort", "reasoningConfig", "output_config"),
    ),
)
_THINKING = fields.names(("type", "budget_tokens"), ("display",))
_NOVA = fields.names((), ("topK", "temperature", "topP"))
_BETAS = ("context-1m-", "interleaved-thinking-", "output-128k-", "token-efficient-tools-", "fine-grained-tool-streaming-", "effort-")
_TYPED = fields.names(("type",))
_LATENCY = fields.names(("latency",))
_TIERS = {"default": ("default",), "priority": ("priority", "default"), "flex": ("flex", "default")}
_SPEEDS = {"standard": ("standard",), "optimized": ("optimized", "standard")}
_NOTHING = Bounds("bedrock")
_COUNT = fields.names(("input", "modelId"))
_COUNTED = fields.names(("converse",), (), {"invokeModel": "only requests to `converse` can be read here."})


def read(route: Route, body: bytes, admits: Bounds = _NOTHING) -> Ask:
    """Reads and bounds a request to converse. `facts` is the ARN that names the model, where one does."""
    members = read_object(body)
    extras = Extras(admits)
    unknown = fields.examine(members, _BODY, extras=extras)
    argument = _argument(route, members)
    model = priced_name(argument)
    content = Content(model, extras)
    content.read(members)
    budget = _own_words(members)
    cap = _cap(members)
    least = 1 if budget is None else budget + 1
    text = bounds.input_tokens_max(
        body, members, messages=content.messages, tools=content.tools, per_request=bounds.TOKENS_PER_REQUEST_ANTHROPIC
    )
    ask = Ask(
        dialect="bedrock",
        route=route.name,
        model=model,
        stream=route.name == "converse_stream",
        demand=Demand(
            input_tokens_max=text - content.media_chars + content.media_tokens,
            input_units=(IN_TEXT, IN_CACHE_READ, *sorted(content.write_units)),
            output_tokens_named=cap,
            output_tokens_min=least if cap is None else min(cap, least),
            conditions=_conditions(members),
        ),
        unknown_fields=unknown,
        messages=content.messages,
        tools=content.tools,
        names=frozenset(members),
        facts=arn_of(argument),
    )
    return extras.onto(ask)


def read_count(route: Route, body: bytes) -> Ask:
    """Reads a request to count: free, but not about what lies in the operator's buckets."""
    members = read_object(body)
    _known(members, _COUNT, "")
    counted = fields.inner(members, "input") or {}
    _known(counted, _COUNTED, "input.")
    converse = fields.inner(counted, "converse", "input.")
    if converse is None:
        raise fields.invalid("input.converse", "is required")
    argument = _argument(route, members)
    model = priced_name(argument)
    Content(model, Extras(_NOTHING)).read(converse)
    demand = Demand(input_tokens_max=0, output_units=())
    return Ask("bedrock", route.name, model, stream=False, demand=demand, names=frozenset(members), facts=arn_of(argument))


def _argument(route: Route, members: Members) -> str:
    """The model in the path; in a quote, where there is no path, that of the body."""
    named = fields.word(members, "modelId")
    if named is not None and route.argument and named != route.argument:
        raise AmbiguousBody(problem="`modelId` is another one than that of the path.", field="modelId")
    name = route.argument or named or ""
    if not name or len(name) > limits.model_name_chars_max or not name.isprintable():
        raise InvalidRequest(problem="The model is required, in the path.", field="modelId")
    return name


def _cap(members: Members) -> int | None:
    said = fields.inner(members, "inferenceConfig")
    if said is None:
        return None
    _known(said, _INFERENCE, "inferenceConfig.")
    return fields.integer(said, "maxTokens", least=1, where="inferenceConfig.")


def _own_words(members: Members) -> int | None:
    """The budget of thinking, of what is asked of the model in its own words."""
    said = fields.inner(members, "additionalModelRequestFields")
    if said is None:
        return None
    _known(said, _OWN_WORDS, _NATIVE)
    nova = fields.inner(said, "inferenceConfig", _NATIVE)
    if nova is not None:
        _known(nova, _NOVA, _NATIVE + "inferenceConfig.")
    for beta in _betas(said):
        if not beta.startswith(_BETAS):
            fields.refuse_cost(_NATIVE + "anthropic_beta", f"what {beta[:64]!r} does to the cost is not known here.")
    budgets = []
    for name in ("thinking", "reasoning_config"):
        thinking = fields.inner(said, name, _NATIVE)
        if thinking is not None:
            path = f"{_NATIVE}{name}."
            _known(thinking, _THINKING, path)
            budgets.append(fields.integer(thinking, "budget_tokens", least=1, where=path) or 0)
    return max(budgets, default=None)


def _betas(said: Members) -> list[str]:
    betas = said.get("anthropic_beta") or []
    if type(betas) is not list or not all(type(beta) is str for beta in betas):
        raise fields.invalid(_NATIVE + "anthropic_beta", "must be a list of strings")
    return betas


def _conditions(members: Members) -> tuple[Conditions, ...]:
    """The tier and latency asked for first; the provider may serve at the plain ones instead."""
    tiers = _choice(members, "serviceTier", "type", _TYPED, _TIERS)
    speeds = _choice(members, "performanceConfig", "latency", _LATENCY, _SPEEDS)
    return tuple(Conditions(service_tier=tier, speed=speed) for tier in tiers for speed in speeds)


def _choice(members: Members, name: str, inner: str, allowed: fields.Names, known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    said = fields.inner(members, name)
    if said is None:
        return next(iter(known.values()))
    _known(said, allowed, name + ".")
    asked = fields.word(said, inner, name + ".") or next(iter(known))
    if asked not in known:
        fields.refuse_cost(f"{name}.{inner}", f"{asked[:64]!r} has no price here.")
    return known[asked]


def _known(members: Members, allowed: fields.Names, where: str) -> None:
    unknown = fields.examine(members, allowed, where)
    if unknown:
        fields.refuse_cost(where + unknown[0], "it is not known here, nor what it costs.")

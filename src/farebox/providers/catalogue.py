"""The providers that are known by name, and how any other one is described. A provider speaks one dialect and has one credential."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from farebox.errors import SettingsError
from farebox.providers.sigv4 import AwsKey
from farebox.usage import Extra

BEARER = b"authorization"
"""The header that carries `Bearer KEY`; any other name carries the key alone."""
AZURE = "azure"
"""Azure's OpenAI: OpenAI's dialect, but deployments instead of models, and a resource of one's own."""
_DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""It becomes a part of a path."""
_REGION_NAME = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}")
_API_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview)?")
_USAGE_SINCE = "2024-09-01-preview"
"""The first `api-version` whose streams report usage."""
_BILLED_ERRORS = {400: "content_filter", 408: ""}
"""What Azure charges though it answers with an error: a prompt that its filter stopped, and a timeout (providers.md §5.1)."""


class Provider(msgspec.Struct, frozen=True):
    """One provider, ready to be called. `prices` is the name under which the price book knows it."""

    name: str
    dialect: str
    base_url: str
    api_key: str
    prices: str
    credential: bytes = BEARER
    cap_field: str = "max_completion_tokens"
    drains: bool = True
    stops_billing_on_cancel: bool = False
    proxy: str | None = None
    ca_file: str | None = None
    reported_cost_counts: bool = False
    """Whether a cost that it reports is charged where it is more than its prices come to."""
    azure: bool = False
    """Whether it names deployments where others name models."""
    deployments: Mapping[str, str] = MappingProxyType({})
    """The model behind each deployment. Where there are none, a deployment has the name of its model."""
    api_version: str = ""
    """Under which deployments are called by their paths; empty: by `/openai/v1`."""
    billed_errors: Mapping[int, str] = MappingProxyType({})
    """Statuses of errors that it charges all the same, each with the error's code, or "" for any."""

    aws: AwsKey | None = None
    """What its requests are signed with, instead of carrying a key."""
    api_keys: tuple[str, ...] = ()
    """All of its keys, where there are several; `api_key` is the first of them. They are taken for keys of one organisation there."""

    bounds: Mapping[str, Extra] = MappingProxyType({})
    """What is admitted though nothing in a request bounds its cost, by the name that the refusal gives."""

    def behind(self, model: str) -> str:
        """The model that a name means here: that behind a deployment."""
        return self.deployments.get(model, model)

    def with_each_key(self) -> "list[Provider]":
        """This provider as it is with each of its keys alone."""
        return [msgspec.structs.replace(self, api_key=key, api_keys=()) for key in self.api_keys or (self.api_key,)]

    def credential_header(self) -> tuple[bytes, bytes]:
        key = self.api_key.encode()
        return (self.credential, b"Bearer " + key if self.credential == BEARER else key)


class Known(msgspec.Struct, frozen=True):
    """What is known of a provider by its name alone."""

    dialect: str
    base_url: str
    credential: bytes = BEARER
    cap_field: str = "max_completion_tokens"
    stops_billing_on_cancel: bool = False
    """Whether it is known to (providers.md §5.1)."""
    prices: str = ""
    """Whose prices apply, where not those of its own name."""


def _host(base_url: str, *, stops: bool = False, prices: str = "") -> Known:
    """One of the hosts that speak OpenAI's API. What their usage looks like is in `dialects/openai/hosts.py`."""
    return Known("openai", base_url, cap_field="max_tokens", stops_billing_on_cancel=stops, prices=prices)


_REGION = "{region}"
"""Stands for it in an address."""
KNOWN = {
    "openai": Known("openai", "https://api.openai.com/v1"),
    "anthropic": Known("anthropic", "https://api.anthropic.com", credential=b"x-api-key"),
    "gemini": Known("gemini", "https://generativelanguage.googleapis.com", credential=b"x-goog-api-key"),
    "deepseek": _host("https://api.deepseek.com/v1", stops=True),
    "mistral": _host("https://api.mistral.ai/v1"),
    "xai": _host("https://api.x.ai/v1", stops=True),
    "groq": _host("https://api.groq.com/openai/v1"),
    "openrouter": _host("https://openrouter.ai/api/v1"),
    "together": _host("https://api.together.xyz/v1", stops=True),
    "fireworks": _host("https://api.fireworks.ai/inference/v1", stops=True),
    "perplexity": _host("https://api.perplexity.ai"),
    "cohere": _host("https://api.cohere.ai/compatibility/v1", stops=True),
    "vllm": _host("http://localhost:8000/v1", stops=True),
    "ollama": _host("http://localhost:11434/v1", stops=True),
    "gemini-openai": _host("https://generativelanguage.googleapis.com/v1beta/openai", prices="gemini"),
    AZURE: Known("openai", "", credential=b"api-key", stops_billing_on_cancel=True),
    "elevenlabs": Known("elevenlabs", "https://api.elevenlabs.io", credential=b"xi-api-key"),
    "bedrock": Known("bedrock", f"https://bedrock-runtime.{_REGION}.amazonaws.com"),
}
_CREDENTIALS = {
    "openai": BEARER,
    "anthropic": b"x-api-key",
    "gemini": b"x-goog-api-key",
    "elevenlabs": b"xi-api-key",
    "bedrock": BEARER,
}
HOME = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini", "elevenlabs": "elevenlabs", "bedrock": "bedrock"}
"""The provider that a bare model name means, by the dialect it was asked in."""


def describe(
    name: str,
    api_key: str,
    *,
    api_keys: tuple[str, ...] = (),
    dialect: str | None = None,
    base_url: str | None = None,
    prices: str | None = None,
    cap_field: str | None = None,
    drains: bool = True,
    stops_billing_on_cancel: bool | None = None,
    proxy: str | None = None,
    ca_file: str | None = None,
    reported_cost_counts: bool = False,
    deployments: Mapping[str, str] | None = None,
    api_version: str | None = None,
    region: str | None = None,
    access_key_id: str | None = None,
    session_token: str | None = None,
    bounds: Mapping[str, Extra] | None = None,
) -> Provider:
    """A provider from its settings; what is not set comes from what is known of its name. Raises SettingsError where nothing is."""
    azure = dialect == AZURE or (dialect is None and name == AZURE)
    known = KNOWN.get(AZURE if azure else name)
    chosen = "openai" if azure else dialect or (known.dialect if known else None)
    url = base_url or (known.base_url if known else None)
    if azure and not url:
        raise SettingsError(problem=f"providers.{name}.base_url is needed: the resource's endpoint, such as https://NAME.openai.azure.com")
    if not azure and (deployments or api_version):
        raise SettingsError(problem=f'providers.{name}: deployments and api_version are for dialect = "{AZURE}"')
    if chosen != "bedrock" and (region or access_key_id or session_token):
        raise SettingsError(problem=f'providers.{name}: region, access_key_id and session_token are for dialect = "bedrock"')
    aws = _aws_key(name, api_key, region or "", access_key_id or "", session_token or "", several=bool(api_keys))
    if url is not None and _REGION in url:
        url = _in_region(name, url, region or "")
    if chosen is None or url is None:
        raise SettingsError(problem=f"providers.{name}: dialect and base_url are needed, because {name} is not built in")
    if not url.startswith(("https://", "http://")):
        raise SettingsError(problem=f"providers.{name}.base_url: {url!r} does not begin with https:// or http://")
    return Provider(
        name,
        chosen,
        _azure_url(name, url, deployments or {}, api_version or "") if azure else url.rstrip("/"),
        api_key,
        prices or (known.prices if known else "") or (AZURE if azure else name),
        api_keys=api_keys,
        credential=known.credential if known and known.dialect == chosen else _CREDENTIALS[chosen],
        cap_field=cap_field or (known.cap_field if known else "max_tokens"),
        drains=drains,
        stops_billing_on_cancel=_stops_billing(known) if stops_billing_on_cancel is None else stops_billing_on_cancel,
        proxy=proxy,
        ca_file=ca_file,
        reported_cost_counts=reported_cost_counts,
        azure=azure,
        deployments=deployments or {},
        api_version=api_version or "",
        billed_errors=_BILLED_ERRORS if azure else {},
        aws=aws,
        bounds=bounds or {},
    )


def _azure_url(name: str, endpoint: str, deployments: Mapping[str, str], api_version: str) -> str:
    """Where a resource is called. Raises SettingsError for what it could not be called by, or would not report its usage under."""
    for deployment in deployments:
        if _DEPLOYMENT.fullmatch(deployment) is None:
            raise SettingsError(problem=f"providers.{name}.deployments: {deployment!r} cannot be a deployment's name")
    if api_version and (_API_VERSION.fullmatch(api_version) is None or api_version < _USAGE_SINCE):
        raise SettingsError(problem=f"providers.{name}.api_version: {api_version!r} is not a version from {_USAGE_SINCE} on")
    resource = endpoint.rstrip("/").removesuffix("/openai/v1").removesuffix("/openai")
    return resource + ("/openai/deployments" if api_version else "/openai/v1")


def _aws_key(name: str, secret: str, region: str, access_key_id: str, session_token: str, *, several: bool) -> AwsKey | None:
    """What requests are signed with: with an access key's id, `api_key` is its secret. Without one it is a bearer key."""
    if not access_key_id:
        if session_token:
            raise SettingsError(problem=f"providers.{name}.access_key_id is needed where there is a session_token")
        return None
    if several:
        raise SettingsError(problem=f"providers.{name}.api_keys: an access key has one secret")
    if _REGION_NAME.fullmatch(region) is None:
        raise SettingsError(problem=f"providers.{name}.region is needed to sign requests, such as us-east-1")
    return AwsKey(access_key_id, secret, region, session_token)


def _in_region(name: str, url: str, region: str) -> str:
    if _REGION_NAME.fullmatch(region) is None:
        raise SettingsError(problem=f"providers.{name}.region is needed, such as us-east-1; or base_url")
    return url.replace(_REGION, region)


def _stops_billing(known: Known | None) -> bool:
    return known is not None and known.stops_billing_on_cancel


def _deployed(provider: Provider, name: str) -> bool:
    """Whether a name is a deployment's: one of those that are set, or where none are, any that can be one."""
    return name in provider.deployments if provider.deployments else _DEPLOYMENT.fullmatch(name) is not None


class Catalogue:
    """All configured providers and aliases: says which provider and model a name means."""

    def __init__(self, providers: Iterable[Provider], aliases: dict[str, str] | None = None) -> None:
        self.providers = {provider.name: provider for provider in providers}
        self.aliases = aliases or {}
        for alias, target in self.aliases.items():
            name, slash, model = target.partition("/")
            if not slash or not model or name not in self.providers:
                raise SettingsError(problem=f"models.{alias}.route: {target!r} is not provider/model of a configured provider")

    def resolve(self, dialect: str, model: str) -> tuple[Provider, str] | None:
        """The provider and its model that a name means: an alias, `provider/model`, or a bare name of the dialect's own provider.

        None when it means nothing here. Never chosen by price.
        """
        target = self.aliases.get(model, model)
        name, slash, rest = target.partition("/")
        if slash and name in self.providers:
            provider = self.providers[name]
            return (provider, rest) if not provider.azure or _deployed(provider, rest) else None
        home = self.providers.get(HOME[dialect])
        if home is not None and not slash:
            return home, target
        return None

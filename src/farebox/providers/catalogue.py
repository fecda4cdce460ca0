"""The providers that are known by name, and how any other one is described. A provider speaks one dialect and has one credential."""

from collections.abc import Iterable

import msgspec

from farebox.errors import SettingsError

BEARER = b"authorization"
"""The header that carries `Bearer KEY`; any other name carries the key alone."""


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

    def credential_header(self) -> tuple[bytes, bytes]:
        key = self.api_key.encode()
        return (self.credential, b"Bearer " + key if self.credential == BEARER else key)


class Known(msgspec.Struct, frozen=True):
    """What is known of a provider by its name alone."""

    dialect: str
    base_url: str
    credential: bytes = BEARER
    cap_field: str = "max_completion_tokens"


KNOWN = {
    "openai": Known("openai", "https://api.openai.com/v1"),
    "anthropic": Known("anthropic", "https://api.anthropic.com", credential=b"x-api-key"),
}
_CREDENTIALS = {"openai": BEARER, "anthropic": b"x-api-key"}
HOME = {"openai": "openai", "anthropic": "anthropic"}
"""The provider that a bare model name means, by the dialect it was asked in."""


def describe(
    name: str,
    api_key: str,
    *,
    dialect: str | None = None,
    base_url: str | None = None,
    prices: str | None = None,
    cap_field: str | None = None,
    drains: bool = True,
    stops_billing_on_cancel: bool = False,
    proxy: str | None = None,
    ca_file: str | None = None,
) -> Provider:
    """A provider from its settings; what is not set comes from what is known of its name. Raises SettingsError where nothing is."""
    known = KNOWN.get(name)
    chosen = dialect or (known.dialect if known else None)
    url = base_url or (known.base_url if known else None)
    if chosen is None or url is None:
        raise SettingsError(problem=f"providers.{name}: dialect and base_url are needed, because {name} is not built in")
    if not url.startswith(("https://", "http://")):
        raise SettingsError(problem=f"providers.{name}.base_url: {url!r} does not begin with https:// or http://")
    return Provider(
        name,
        chosen,
        url.rstrip("/"),
        api_key,
        prices or name,
        credential=known.credential if known and known.dialect == chosen else _CREDENTIALS[chosen],
        cap_field=cap_field or (known.cap_field if known else "max_tokens"),
        drains=drains,
        stops_billing_on_cancel=stops_billing_on_cancel,
        proxy=proxy,
        ca_file=ca_file,
    )


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
            return self.providers[name], rest
        home = self.providers.get(HOME[dialect])
        if home is not None and not slash:
            return home, target
        return None

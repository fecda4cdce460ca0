"""The catalogue that settings describe. Owns turning one into the other; what is known of a provider without them is `catalogue.py`."""

from farebox.errors import SettingsError
from farebox.money import PICO_PER_NANO, parse_usd
from farebox.providers.catalogue import Catalogue, Provider, describe
from farebox.settings import Settings
from farebox.settings.providers import Bound
from farebox.settings.providers import Provider as ProviderSettings
from farebox.usage import Extra


def catalogue_of(settings: Settings) -> Catalogue:
    """The providers and aliases of these settings. Raises SettingsError."""
    return Catalogue(
        [_provider(name, provider) for name, provider in settings.providers.items()],
        {alias: model.route[0] for alias, model in settings.models.items()},
    )


_AS_GIVEN = {"dialect", "base_url", "prices", "cap_field", "stops_billing_on_cancel", "proxy", "deployments", "api_version"} | {
    *("region", "access_key_id"),
}


def _provider(name: str, given: ProviderSettings) -> Provider:
    first, *more = keys = tuple(key.get_secret_value() for key in (given.api_key, *given.api_keys))
    if len(set(keys)) < len(keys):
        raise SettingsError(problem=f"providers.{name}.api_keys: a key is there twice")
    return describe(
        name,
        first,
        **given.model_dump(include=_AS_GIVEN),
        api_keys=keys if more else (),
        drains=given.on_disconnect == "drain",
        ca_file=str(given.ca_file) if given.ca_file else None,
        reported_cost_counts=given.reported_cost == "max",
        bounds={what: _extra(bound) for what, bound in given.bounds.items()},
        session_token=given.session_token.get_secret_value() if given.session_token else None,
    )


def _extra(bound: Bound) -> Extra:
    return Extra(bound.input_tokens, bound.output_tokens, parse_usd(bound.fee_usd) * PICO_PER_NANO)

"""The quote: the most that a call can cost, as a function of its output cap, before anyone is asked for money."""

from collections.abc import Callable, Mapping

import msgspec

from farebox import limits
from farebox.dialects import DIALECTS
from farebox.dialects.anthropic import Anthropic
from farebox.dialects.anthropic.request import Defaults
from farebox.dialects.base import Ask, Dialect, Route
from farebox.dialects.bedrock import Bedrock
from farebox.dialects.extras import Bounds
from farebox.dialects.gemini import Gemini
from farebox.dialects.openai import OpenAI, azure
from farebox.dialects.openai.azure import Azure
from farebox.dialects.openai.hosts import host_of
from farebox.dialects.openai.naming import with_model
from farebox.errors import CostUnbounded, InvalidRequest, ModelNotAllowed, ModelNotFound, ModelNotPriced
from farebox.gateway.attempt import Beside, Caller, Plan
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import Gate
from farebox.ledger.model import Key, matches
from farebox.ledger.plan import Policy
from farebox.money import BASIS_POINTS, PICO_PER_NANO
from farebox.pricing.cards import ModelPrice
from farebox.pricing.markup import AT_COST, Markup
from farebox.pricing.quote import CostBound, bound
from farebox.providers.catalogue import HOME, Catalogue, Provider
from farebox.store.reading import Books
from farebox.usage import Other

_SHOWN_MAX = 20
_TERMS_MAX = 100_000
_READERS_MAX = 10_000
_TERMS_OF_KEY_MAX = 64
_NO_RUN = Caller()
_PLAIN: dict[str, Callable[[Bounds], Dialect]] = {"gemini": Gemini, "elevenlabs": lambda _: DIALECTS["elevenlabs"], "bedrock": Bedrock}
"""Dialects whose providers differ in nothing else than what they admit."""


class Terms(msgspec.Struct, frozen=True):
    """What a key gets of a model whatever the call: by which policy and prices, from whom, admitted by what."""

    policy: Policy
    provider: Provider
    dialect: Dialect
    model: str
    """The model's name at the provider."""
    name: str
    """`provider/model`."""
    listed: ModelPrice
    own: ModelPrice | None
    markup: Markup
    gate: Gate


class Quoter:
    """Plans calls: which provider and model, at which prices, between which output caps."""

    def __init__(self, catalogue: Catalogue, *, default_output: int, least_output: int) -> None:
        self._catalogue = catalogue
        self._dialects = {name: _dialect(provider) for name, provider in catalogue.providers.items()}
        self._known: dict[str, dict[tuple[str, str], Terms]] = {}
        """By key, then by dialect and model; of one version of the book only."""
        self._readers: dict[tuple[str, str], tuple[Dialect, str]] = {}
        """By dialect and model: what settings say of a name. Bounded, because names come from callers."""
        self._books: Books | None = None
        self._default_output = default_output
        self._least_output = least_output

    def reader(self, dialect: str, model: str) -> tuple[Dialect, str]:
        """The dialect as the provider that a name means speaks it, and the deployment where it means one; as the API's own provider does,
        where it means none.
        """
        known = self._readers.get((dialect, model))
        if known is not None:
            return known
        found = self._catalogue.resolve(dialect, model)
        if found is None or found[0].dialect != dialect:
            reader = DIALECTS[dialect], ""
        else:
            reader = self._dialects[found[0].name], found[1] if found[0].azure else ""
        if len(model) <= limits.model_name_chars_max:
            if len(self._readers) >= _READERS_MAX:
                self._readers.clear()
            self._readers[dialect, model] = reader
        return reader

    def read(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """What is asked, as the provider that is meant reads it: they differ in what moves their cost, and in what their settings admit."""
        home = DIALECTS[route.dialect]
        ask: Ask | None = None
        try:
            ask = home.ask(route, body, headers)
            model = ask.model
        except (CostUnbounded, InvalidRequest):  # what one host has no bound for may have one at another
            model = azure.model_in(body) or route.argument
            if self.reader(route.dialect, azure.named(route, model))[0] is home:
                raise
        model = azure.named(route, model)
        dialect, deployment = self.reader(route.dialect, model)
        meant = self._as_meant(dialect, route, body, headers, model) if model in self._catalogue.aliases and not deployment else None
        if meant is not None:
            ask = meant
        elif dialect is not home or ask is None:
            ask = dialect.ask(msgspec.structs.replace(route, argument=deployment) if deployment else route, body, headers)
        ask.model = model
        return ask

    def _as_meant(self, dialect: Dialect, route: Route, body: bytes, headers: Mapping[bytes, bytes], alias: str) -> Ask | None:
        """A request that names an alias, read as one for the model that it stands for: a dialect may tell models apart by their names."""
        found = self._catalogue.resolve(route.dialect, alias)
        if found is None or found[0].dialect != route.dialect:
            return None
        if route.argument == alias:
            return dialect.ask(msgspec.structs.replace(route, argument=found[1]), body, headers)
        if isinstance(dialect, OpenAI):
            return dialect.ask_as(route, body, headers, found[1])
        return dialect.ask(route, with_model(body, found[1], {}), headers)

    def dialect_at(self, provider: Provider) -> Dialect:
        """The dialect as this provider speaks it."""
        return self._dialects[provider.name]

    def plan(self, policy: Policy, ask: Ask, caller: Caller, books: Books, now: int) -> Plan:
        """The plan of a call. Raises ModelNotFound, ModelNotAllowed, ModelNotPriced, CostUnbounded, InvalidRequest."""
        terms = self._terms(policy, ask, books, now)
        model, listed, own, markup = terms.model, terms.listed, terms.own, terms.markup
        if ask.unknown_fields and policy.key.unknown_fields == "refuse":
            raise InvalidRequest(problem=f"This key does not pass unknown fields on: {', '.join(ask.unknown_fields)}.")
        demand = ask.demand
        cost = bound(demand, listed)
        price = _marked_up(cost, markup) if own is None else _at_list(bound(demand, own))
        tokens = cost.input_tokens + demand.extra_output_tokens
        beside: tuple[Beside, ...] = ()
        if demand.others:
            beside = tuple(self._beside(terms, other.model, books, now) for other in demand.others)
            cost, price, more = _with_others(demand.others, beside, cost, price, markup)
            tokens += more
        low, high = self._caps(policy.key, ask, caller, listed)
        return Plan(
            policy,
            _gate(policy, terms.name, caller, books) if caller.run else terms.gate,
            ask,
            terms.dialect,
            terms.provider,
            model,
            Bound(price, _at_list(cost), Affine(tokens, demand.choices if demand.output_units else 0), low, high),
            listed,
            own,
            markup if own is None else AT_COST,
            cost.input_tokens,
            books.listed,
            now,
            beside,
            Markup(markup.basis_points) if beside else AT_COST,
        )

    def _terms(self, policy: Policy, ask: Ask, books: Books, now: int) -> "Terms":
        """What a key gets of a model. Worked out once for all calls, as long as nothing of it has changed."""
        if books is not self._books:
            self._books, self._known = books, {}
        asked = (ask.dialect, ask.model)
        of_key = self._known.get(policy.key.id) or {}
        known = of_key.get(asked)
        if known is not None and known.policy is policy and known.listed.holds_at(now):
            return known
        provider, model = self.resolve(ask.dialect, ask.model, books)
        name = f"{provider.name}/{model}"
        allowed(policy.key, name, ask.model)
        listed = books.listed.find(provider.prices, provider.behind(model), now)
        if listed is None:
            raise ModelNotPriced(model=name)
        own = self.own_price(policy, provider, provider.behind(model), books, now)
        gate = _gate(policy, name, _NO_RUN, books)
        terms = Terms(policy, provider, self._dialects[provider.name], model, name, listed, own, Markup(*policy.markup), gate)
        if not books.own:  # an own price may begin or end at any moment
            if (known is not None and known.policy is not policy) or len(of_key) >= _TERMS_OF_KEY_MAX:
                of_key = {}
            if len(self._known) >= _TERMS_MAX:
                self._known.clear()
            self._known[policy.key.id] = of_key
            of_key[asked] = terms
        return terms

    def resolve(self, dialect: str, model: str, books: Books) -> tuple[Provider, str]:
        """The provider and model that a name means. Raises ModelNotFound, naming what it may have meant."""
        found = self._catalogue.resolve(dialect, model)
        if found is None or found[0].dialect != dialect:
            names = [
                name for name in books.listed.known(model.partition("/")[2] or model) if name.partition("/")[0] in self._catalogue.providers
            ]
            hint = f"Did you mean {' or '.join(names[:_SHOWN_MAX])}?" if names else "Name it as provider/model."
            raise ModelNotFound(model=model, candidates=hint)
        return found

    def _beside(self, terms: Terms, model: str, books: Books, now: int) -> Beside:
        """The prices of another model that the same call may use. The key must be allowed to use it. Raises ModelNotAllowed, ModelNotPriced."""
        name = f"{terms.provider.name}/{model}"
        allowed(terms.policy.key, name, model)
        listed = books.listed.find(terms.provider.prices, model, now)
        if listed is None:
            raise ModelNotPriced(model=name)
        return Beside(listed, self.own_price(terms.policy, terms.provider, model, books, now))

    def own_price(self, policy: Policy, provider: Provider, model: str, books: Books, now: int) -> ModelPrice | None:
        """The nearest own price, from the key up; none means list price and markup."""
        for scope in (policy.key.id, *(account.id for account in policy.path)) if books.own else ():
            book = books.own.get(scope)
            price = book.find(provider.prices, model, now) if book is not None else None
            if price is not None:
                return price
        return None

    def _caps(self, key: Key, ask: Ask, caller: Caller, price: ModelPrice) -> tuple[int, int]:
        """The fewest and the most output tokens a call may be admitted with (contract.md §4, output cap)."""
        demand = ask.demand
        if not demand.output_units:
            return 0, 0
        named = demand.output_tokens_named
        if named is not None and not (caller.clamp or key.clamp == "always"):
            return named, named
        least = max(self._least_output, demand.output_tokens_min)
        if named is not None:
            return min(least, named), named
        high = key.default_max_output_tokens or self._default_output
        if price.output_tokens_max is not None:
            high = min(high, price.output_tokens_max)
        high = max(high, demand.output_tokens_min)
        return (high if key.clamp == "never" and not caller.clamp else min(least, high)), high


def _gate(policy: Policy, name: str, caller: Caller, books: Books) -> Gate:
    """What must admit the call, with the version of the prices it is quoted by: the policy may have been read after the book."""
    gate = policy.gate(name, caller.run, caller.run_limit)
    return gate if gate.book_version == books.version else msgspec.structs.replace(gate, book_version=books.version)


def _dialect(provider: Provider) -> Dialect:
    """A provider's dialect. Other hosts of an API have plain prices, and may want the output cap in its older field."""
    bounds = Bounds(provider.name, provider.bounds)
    at_home = HOME.get(provider.dialect) == provider.name and provider.cap_field == "max_completion_tokens"
    if at_home and not provider.bounds:
        return DIALECTS[provider.dialect]
    if provider.azure:
        return Azure(deployments=provider.deployments, api_version=provider.api_version, bounds=bounds)
    if provider.dialect in _PLAIN:
        return _PLAIN[provider.dialect](bounds)
    if provider.dialect == "openai":
        host = host_of(provider.name, provider.prices)
        return (
            OpenAI(bounds=bounds) if at_home else OpenAI(cap_field=provider.cap_field, tiers_of_auto=("default",), host=host, bounds=bounds)
        )
    return Anthropic(Defaults() if at_home else Defaults(tiers_of_auto=("default",), geos_of_default=("global",)), bounds)


def _with_others(
    others: tuple[Other, ...], beside: tuple[Beside, ...], cost: CostBound, price: Affine, markup: Markup
) -> tuple[CostBound, Affine, int]:
    """The worst case with what other models may add to it, and how many tokens that is. Their output is bounded by their own caps."""
    base, tokens = 0, 0
    marked = 0
    for other, prices in zip(others, beside, strict=True):
        listed = bound(other.demand, prices.listed)
        cap = other.demand.output_tokens_named or 0
        base += listed.worst_pico(cap)
        tokens += listed.input_tokens + other.demand.extra_output_tokens + cap * other.demand.choices
        if prices.own is None:
            marked += listed.worst_pico(cap) * (BASIS_POINTS + markup.basis_points)
        else:
            marked += bound(other.demand, prices.own).worst_pico(cap) * BASIS_POINTS
    scale = PICO_PER_NANO * BASIS_POINTS // price.scale
    price = Affine(price.base * scale + marked, price.slope * scale, PICO_PER_NANO * BASIS_POINTS, price.fixed)
    return msgspec.structs.replace(cost, base_pico=cost.base_pico + base), price, tokens


def _at_list(cost: CostBound) -> Affine:
    return Affine(cost.base_pico, cost.per_output_token_pico, PICO_PER_NANO)


def _marked_up(cost: CostBound, markup: Markup) -> Affine:
    factor = BASIS_POINTS + markup.basis_points
    return Affine(cost.base_pico * factor, cost.per_output_token_pico * factor, PICO_PER_NANO * BASIS_POINTS, markup.fixed_nano)


def allowed(key: Key, name: str, asked: str) -> None:
    """Raises ModelNotAllowed unless the key may use `provider/model` (or the alias it was asked by)."""
    if key.models and not any(matches(pattern, name) or pattern == asked for pattern in key.models):
        raise ModelNotAllowed(model=asked, allowed=", ".join(key.models[:_SHOWN_MAX]))

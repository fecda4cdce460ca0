"""Settings: `farebox.toml` < environment (`FAREBOX_…`, `__` for nesting) < flags. Unknown names are errors that name the nearest right one.

Secrets may be written as the value, as `env:NAME`, or as `file:PATH`; they are resolved once, here, and never printed.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from farebox import limits as defaults
from farebox.errors import SettingsError
from farebox.money import NotMoneyError, parse_usd
from farebox.settings.providers import Bound, Provider, Section, resolved

OWN_PROVIDER = "own"
"""Stands where a provider's name does, in prices and charges of work that is not proxied."""
PROVIDER_ENVIRONMENT = {
    name: f"{name.upper()}_API_KEY"
    for name in (
        *("openai", "anthropic", "gemini", "deepseek", "mistral", "xai", "groq"),
        *("openrouter", "together", "fireworks", "perplexity", "cohere", "elevenlabs"),
    )
}
"""With one of these in the environment, its provider is on without a file."""
_AZURE_ENVIRONMENT = {"api_key": "AZURE_OPENAI_API_KEY", "base_url": "AZURE_OPENAI_ENDPOINT"}
"""Azure is on with both: each resource has an endpoint of its own."""
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")
_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:[0-9]*)?")


class Server(Section):
    """Where the gateway listens, and where it keeps its own small files."""

    listen: str = Field("127.0.0.1:8080", description="Address of the data plane.")
    admin_listen: str | None = Field(None, description="Address of its own for the control API and /metrics.")
    admin_shared: bool = Field(False, description="Serve the control API on `listen` even when that is not loopback.")
    data_dir: Path | None = Field(None, description="Folder for admin.key and the like; the SQLite file's folder when not set.")
    workers: int = Field(
        1, ge=1, le=defaults.workers_max, description="Gateway processes at this address; more than one needs a PostgreSQL store."
    )
    topup_url: str = Field("", description="Where a caller whose money is gone can get more; told in 402 answers.")


class Store(Section):
    """Where the ledger is."""

    url: Annotated[str, BeforeValidator(resolved)] = Field(
        "sqlite:///farebox.db",
        description="sqlite:///PATH (relative), sqlite:////PATH (absolute) or postgresql://USER:PASSWORD@HOST/NAME (or env:NAME, file:PATH).",
    )


class Model(Section):
    """An alias: a name of your own for a provider's model."""

    route: list[str] = Field(min_length=1, max_length=1, description="provider/model.")


class Limits(Section):
    """Limits that an operator may change. The rest, and what each is for, is in `limits.py`."""

    default_max_output_tokens: int = Field(defaults.default_max_output_tokens, ge=1, description="Output cap when a request names none.")
    min_output_tokens: int = Field(defaults.min_output_tokens, ge=1, description="A lowered cap is never lower than this.")
    held_wait_s: int = Field(defaults.held_wait_s, ge=0, le=60, description="How long a call waits when only open holds stand in its way.")
    request_body_bytes_max: int = Field(defaults.request_body_bytes_max, ge=1024, description="Largest request body.")
    first_byte_s_max: int = Field(defaults.first_byte_s_max, ge=1, description="How long a provider may take to begin its answer.")
    stream_idle_s_max: int = Field(defaults.stream_idle_s_max, ge=1, description="How long a provider may be silent within an answer.")
    request_s_max: int = Field(defaults.request_s_max, ge=1, description="Longest call, start to end.")
    drain_s_max: int = Field(defaults.drain_s_max, ge=0, description="How long the rest of an answer is read after its client left.")
    drains_max: int = Field(defaults.drains_max, ge=0, description="How many such answers at once.")
    drains_per_key_max: int = Field(defaults.drains_per_key_max, ge=0, description="How many such answers at once for one key.")
    calls_in_flight_max: int = Field(defaults.calls_in_flight_max, ge=1, description="How many calls at once.")
    shutdown_s_max: int = Field(defaults.shutdown_s_max, ge=0, description="How long a stopping gateway waits for calls to end.")
    heartbeat_lost_s: int = Field(
        defaults.heartbeat_lost_s,
        ge=3,
        le=3600,
        description="After so long a silence a process on the same PostgreSQL store is taken for dead, and what it held is charged.",
    )
    replay_kept_s: int = Field(
        defaults.replay_kept_s, ge=0, description="How long answers are kept for a repeated Idempotency-Key; 0: not at all."
    )


class Pricing(Section):
    """How prices are kept."""

    import_at_start: bool = Field(True, description="Fill an empty price book from the prices that come with farebox.")
    jump_factor_max: int = Field(3, ge=1, description="An import that moves a price by more than this factor needs --accept.")


WhenShort = Literal["refuse", "write_off"]


class Source(Section):
    """One source of events."""

    when_short: WhenShort = Field("refuse", description="As `events.when_short`, for this source.")


class Events(Section):
    """Events that tell of work that was not proxied (`POST /api/v1/events`)."""

    when_short: WhenShort = Field(
        "refuse", description="What becomes of an event that money or a cap does not cover: refuse it, or charge it and write_off the rest."
    )
    sources: dict[str, Source] = Field({}, description="Other rules for single sources, by the events' `source`.")

    def when_short_of(self, source: str) -> WhenShort:
        """The rule for a source."""
        return self.sources[source].when_short if source in self.sources else self.when_short


class Log(Section):
    """The log: one line per request when it is settled. Never bodies, never keys."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is written.")
    format: Literal["text", "json"] = Field("text", description="text for people, json for machines.")
    requests: bool = Field(True, description="Write the line per request.")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix="FAREBOX_", env_nested_delimiter="__", extra="forbid", frozen=True)

    server: Server = Server()
    store: Store = Store()
    providers: dict[str, Provider] = {}
    models: dict[str, Model] = {}
    limits: Limits = Limits()
    pricing: Pricing = Pricing()
    events: Events = Events()
    log: Log = Log()
    admin_key: SecretStr | None = Field(None, description="The first admin key, at least 16 characters.")

    @property
    def place(self) -> Path | str:
        """Where the store is: a SQLite file, or the URL of a PostgreSQL database."""
        return self.store_path if self.store.url.startswith(_SQLITE) else self.store.url

    @property
    def store_path(self) -> Path:
        """The SQLite file. Raises SettingsError where there is none."""
        if not self.store.url.startswith(_SQLITE):
            raise SettingsError(problem="this is for a SQLite store; store.url names a PostgreSQL database")
        return Path(self.store.url.removeprefix(_SQLITE)).expanduser()

    @property
    def store_id(self) -> str:
        """By what two processes on one machine know that they mean the same store. Tells neither user nor password."""
        if self.store.url.startswith(_SQLITE):
            return str(self.store_path.resolve())
        address = urlsplit(self.store.url)
        return address.netloc.rpartition("@")[2] + address.path

    @property
    def data_dir(self) -> Path:
        """The folder for the gateway's own small files."""
        here = self.store_path.parent if self.store.url.startswith(_SQLITE) else Path()
        return self.server.data_dir or here


class Loaded(BaseModel):
    """Settings and where each value that is not a default came from: `farebox.toml`, `environment` or `flag`, by dotted name."""

    settings: Settings
    origins: dict[str, str]
    file: Path | None


_FOREIGN = {"FAREBOX_URL", "FAREBOX_CONFIG", "FAREBOX_TEST_POSTGRES", "FAREBOX_SOAK"}
"""Environment variables that begin like settings and are read elsewhere."""


def load(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Loaded:
    """Reads all sources. Raises SettingsError with one line per problem: what is wrong, where, and what would be right."""
    named = file or (Path(os.environ["FAREBOX_CONFIG"]) if os.environ.get("FAREBOX_CONFIG") else None)
    path = named or Path("farebox.toml")
    sources: list[tuple[str, dict[str, Any]]] = [("environment (provider's own)", _providers_from_environment())]
    if path.exists():
        sources.append((path.name, _read_toml(path)))
    elif named is not None:
        raise SettingsError(problem=f"the settings file {path} does not exist")
    sources += [("environment", _environment()), ("flag", dict(flags or {}))]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, values in sources:
        _merge(merged, values, origins, origin, ())
    try:
        settings = Settings.model_construct(**_Values.model_validate(merged).__dict__)
    except ValidationError as problem:
        raise SettingsError(problem="\n".join(_explain(dict(error), origins) for error in problem.errors())) from None
    _check(settings)
    return Loaded(settings=settings, origins=origins, file=path if path.exists() else None)


class _Values(BaseModel):
    """The same fields without sources of their own: validation of what was merged."""

    model_config = ConfigDict(extra="forbid")
    server: Server = Server()
    store: Store = Store()
    providers: dict[str, Provider] = {}
    models: dict[str, Model] = {}
    limits: Limits = Limits()
    pricing: Pricing = Pricing()
    events: Events = Events()
    log: Log = Log()
    admin_key: SecretStr | None = None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as problem:
        raise SettingsError(problem=f"{path}: {problem}") from None


def _providers_from_environment() -> dict[str, Any]:
    found = {name: {"api_key": f"env:{variable}"} for name, variable in PROVIDER_ENVIRONMENT.items() if os.environ.get(variable)}
    if os.environ.get(_AZURE_ENVIRONMENT["api_key"]) and os.environ.get(_AZURE_ENVIRONMENT["base_url"]):
        found["azure"] = {"api_key": f"env:{_AZURE_ENVIRONMENT['api_key']}", "base_url": os.environ[_AZURE_ENVIRONMENT["base_url"]]}
    return {"providers": found} if found else {}


def _environment() -> dict[str, Any]:
    """`FAREBOX_…` variables by pydantic-settings' own rules; a name that is no setting is an error, not silence."""
    for variable in os.environ:
        if variable.startswith("FAREBOX_") and variable not in _FOREIGN:
            top = variable.removeprefix("FAREBOX_").lower().split("__")[0]
            if top not in Settings.model_fields:
                raise SettingsError(problem=f"environment: {variable} is not a setting{_nearest(top, list(Settings.model_fields))}")
    return EnvSettingsSource(Settings)()


def _merge(into: dict[str, Any], values: Mapping[str, Any], origins: dict[str, str], origin: str, path: tuple[str, ...]) -> None:
    for name, value in values.items():
        here = (*path, name)
        if isinstance(value, Mapping):
            _merge(into.setdefault(name, {}), value, origins, origin, here)
        elif value is not None:
            into[name] = value
            origins[".".join(here)] = origin


def _explain(error: dict[str, Any], origins: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    where = origins.get(name) or next((origin for known, origin in origins.items() if known.startswith(name)), "settings")
    if error["type"] == "extra_forbidden":
        return f"{where}: {name} is not a setting{_nearest(str(error['loc'][-1]), _names_beside(error['loc']))}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {name}: {message}"


def _names_beside(loc: tuple[str | int, ...]) -> list[str]:
    section: Any = _Values
    for part in loc[:-1]:
        if isinstance(section, type) and issubclass(section, BaseModel) and part in section.model_fields:
            annotation = section.model_fields[str(part)].annotation
            section = {"providers": Provider, "models": Model, "bounds": Bound}.get(str(part), annotation)
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}" if names else ""


def _check(settings: Settings) -> None:
    if not settings.store.url.startswith((_SQLITE, *_POSTGRES)):
        scheme = settings.store.url.partition(":")[0]
        raise SettingsError(
            problem=f"store.url: a store of kind {scheme!r} is not known; write sqlite:///PATH or postgresql://USER@HOST/NAME"
        )
    if not settings.store.url.startswith(_SQLITE) and not _is_database(settings.store.url):
        raise SettingsError(
            problem="store.url is not the URL of a database, such as postgresql://USER:PASSWORD@HOST/NAME; "
            "in a password, write @ : / ? # % as %40 %3A %2F %3F %23 %25"
        )
    if settings.server.workers > 1 and settings.store.url.startswith(_SQLITE):
        raise SettingsError(
            problem=f"server.workers is {settings.server.workers}, but SQLite serves one process: set server.workers = 1, "
            'or store.url = "postgresql://USER@HOST/NAME"'
        )
    if OWN_PROVIDER in settings.providers:
        raise SettingsError(problem=f"providers.{OWN_PROVIDER}: this name stands for work that is not proxied; choose another")
    for name in ("listen", "admin_listen"):
        value = getattr(settings.server, name)
        if value is not None:
            parse_address(value, f"server.{name}")
    host, _ = parse_address(settings.server.listen, "server.listen")
    if not is_loopback(host) and settings.server.admin_listen is None and not settings.server.admin_shared:
        raise SettingsError(
            problem=f"server.listen is {settings.server.listen}, which others can reach: give the control API an address of its own "
            '(server.admin_listen = "127.0.0.1:8081") or say server.admin_shared = true'
        )


def _is_database(url: str) -> bool:
    """Whether a URL can be understood in one way only. What is wrong with one is not quoted: it may be a part of its password."""
    try:
        address = urlsplit(url)
        parse_qs(address.query, strict_parsing=True)
    except ValueError:
        return False
    who, _, hosts = address.netloc.rpartition("@")
    ports = [_PORT.fullmatch(host) for host in hosts.split(",")]
    return "@" not in who + address.path + address.fragment and ":" not in who.partition(":")[2] and all(ports)


def parse_address(text: str, name: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` (`[::1]:8080` for IPv6)."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise SettingsError(problem=f"{name}: {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_amount(text: str, name: str) -> int:
    """Nano-dollars of an amount that a person typed; SettingsError with the name of what it was for."""
    try:
        return parse_usd(text)
    except NotMoneyError as problem:
        raise SettingsError(problem=f"{name}: {problem}") from None

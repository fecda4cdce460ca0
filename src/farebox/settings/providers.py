"""The settings of a provider, and what every section is made of. Owns how secrets are written; not how settings are found (`__init__.py`)."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints

from farebox import limits as defaults
from farebox.money import NotMoneyError, parse_usd
from farebox.usage import EXTRA_NAME


def resolved(value: object) -> object:
    """A secret that stands for itself, for an environment variable or for a file."""
    if not isinstance(value, str):
        return value
    kind, _, rest = value.partition(":")
    if kind == "env":
        if not os.environ.get(rest):
            raise ValueError(f"the environment variable {rest} is not set")
        return os.environ[rest]
    if kind == "file":
        try:
            return Path(rest).expanduser().read_text("utf-8").strip()
        except OSError as problem:
            raise ValueError(f"the file {rest} cannot be read: {problem.strerror}") from None
    return value


Secret = Annotated[SecretStr, BeforeValidator(resolved)]


class Section(BaseModel):
    """A part of the settings: names that it does not have are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _amount(value: str) -> str:
    try:
        nano = parse_usd(value)
    except NotMoneyError as problem:
        raise ValueError(str(problem)) from None
    if not 0 <= nano <= defaults.extra_fee_nano_max:
        raise ValueError(f"{value!r} is no fee of one call")
    return value


class Bound(Section):
    """What one of something may add to a call that nothing in the request bounds. Without a section it is refused."""

    input_tokens: int = Field(0, ge=0, le=defaults.extra_tokens_max, description="The most input tokens that one adds.")
    output_tokens: int = Field(0, ge=0, le=defaults.extra_tokens_max, description="The most output tokens that one adds beside the cap.")
    fee_usd: Annotated[str, AfterValidator(_amount)] = Field(
        "0", description="What one costs beside its tokens: held, and charged, for no answer reports it."
    )


class Provider(Section):
    """One provider: who answers. `base_url` is what that provider's own SDK takes."""

    api_key: Secret = Field(description="Value, env:NAME or file:PATH.")
    api_keys: list[Secret] = Field([], max_length=defaults.more_keys_max, description="More keys of that organisation, used in turn.")
    dialect: Literal["openai", "anthropic", "gemini", "azure", "elevenlabs", "bedrock"] | None = Field(
        None, description="Needed for providers that are not built in."
    )
    base_url: str | None = Field(None, description="Needed for providers that are not built in.")
    prices: str | None = Field(None, description="Whose prices apply, when not those of its own name.")
    cap_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None, description="The output cap's field, for OpenAI's dialect."
    )
    on_disconnect: Literal["drain", "cancel"] = Field("drain", description="cancel: stop reading when the client leaves; charged the hold.")
    stops_billing_on_cancel: bool | None = Field(
        None, description="This provider is known to stop billing when a call is cancelled; of those built in it is known which do."
    )
    reported_cost: Literal["kept", "max"] = Field(
        "kept", description="A cost that its answers tell: kept beside the charge, or max: charged where it is more than the prices say."
    )
    deployments: dict[str, str] = Field(
        {}, description="Azure: the model behind each deployment, by the deployment's name. With none, deployments are named as models."
    )
    api_version: str | None = Field(None, description="Azure: call deployments by their paths, under this version; else by /openai/v1.")
    region: str | None = Field(None, description="Bedrock: the region that is called, and that requests are signed for.")
    access_key_id: str | None = Field(
        None, description="Bedrock: sign requests with this access key, whose secret is `api_key`. Without it, `api_key` is a bearer key."
    )
    session_token: Secret | None = Field(None, description="Bedrock: goes with a temporary access key.")
    bounds: dict[Annotated[str, StringConstraints(pattern=f"^{EXTRA_NAME}$")], Bound] = Field(
        {}, description="By the name that a refusal gives: what is admitted, and how much it may add."
    )
    proxy: str | None = Field(None, description="HTTP proxy to reach it through.")
    ca_file: Path | None = Field(None, description="Certificate authorities to trust for it, beside the system's.")

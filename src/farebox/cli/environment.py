"""Environment variables of the processes we start: what points SDKs at a gateway, and what must not reach them."""

from collections.abc import Iterable, Mapping

from farebox.settings import PROVIDER_ENVIRONMENT

_OURS = "FAREBOX_"
_CONFLICTING = (
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_IDENTITY_TOKEN",
    "ANTHROPIC_IDENTITY_TOKEN_FILE",
    "ANTHROPIC_FEDERATION_RULE_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_ENDPOINT",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_VERTEX",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
)
"""Other ways to a provider, or to another account of it, that an SDK or agent would take before ours."""
_CREDENTIALS = (*PROVIDER_ENVIRONMENT.values(), "ANTHROPIC_AUTH_TOKEN", "AZURE_OPENAI_API_KEY")
_CLAUDE_CODE = "claude"


def for_command(program: str, url: str, key: str, base: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """What a command is run with: SDKs find the gateway and the key; the provider's own keys, and ours to administer, are not there.

    Claude Code takes `ANTHROPIC_AUTH_TOKEN` without a question and warns of an `ANTHROPIC_API_KEY` beside it, so it gets only the one.
    """
    hidden = {*secrets, ""}
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith(_OURS) and name not in _CONFLICTING and name not in _CREDENTIALS and value not in hidden
    }
    anthropic = {"ANTHROPIC_AUTH_TOKEN": key}
    if program != _CLAUDE_CODE:
        anthropic["ANTHROPIC_API_KEY"] = key
    return {**kept, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": key, "ANTHROPIC_BASE_URL": url, **anthropic}


def without_settings(base: Mapping[str, str]) -> dict[str, str]:
    """An environment in which a gateway has no settings but those of its file: no provider of the caller's is on."""
    return {name: value for name, value in base.items() if not name.startswith(_OURS) and name not in _CREDENTIALS}

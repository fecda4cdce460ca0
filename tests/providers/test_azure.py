"""How an Azure resource is described, and which names are deployments of it."""

from pathlib import Path
from typing import Any

import pytest

from farebox.errors import SettingsError
from farebox.providers.catalogue import Catalogue, describe
from farebox.providers.configured import catalogue_of
from farebox.settings import load

ENDPOINT = "https://r.openai.azure.com"


def resource(**more: Any) -> Any:
    return describe("azure", "k", base_url=ENDPOINT, **more)


@pytest.mark.parametrize("endpoint", [ENDPOINT, ENDPOINT + "/", ENDPOINT + "/openai", ENDPOINT + "/openai/v1/"])
def test_a_resource_is_its_endpoint_however_it_was_written(endpoint: str) -> None:
    """By its SDK's setting, or with what clients put behind it."""
    by_v1 = describe("azure", "k", base_url=endpoint)
    by_version = describe("azure", "k", base_url=endpoint, api_version="2024-10-21")
    assert by_v1.base_url == ENDPOINT + "/openai/v1"
    assert by_version.base_url == ENDPOINT + "/openai/deployments"
    assert by_v1.credential_header() == (b"api-key", b"k")


def test_a_resource_of_another_name_is_azure_all_the_same() -> None:
    """With Azure's prices, its credential, and the errors that it charges."""
    other = describe("azure-eu", "k", dialect="azure", base_url=ENDPOINT)
    assert (other.dialect, other.prices, other.credential, other.azure) == ("openai", "azure", b"api-key", True)
    assert other.billed_errors == {400: "content_filter", 408: ""}
    assert not describe("openai", "k").billed_errors


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"base_url": None}, "base_url is needed"),
        ({"api_version": "2024-06-01"}, "2024-09-01-preview"),
        ({"api_version": "2024-10-21&x=y"}, "is not a version"),
        ({"deployments": {"../a": "gpt-4o"}}, "cannot be a deployment's name"),
        ({"deployments": {"a?b": "gpt-4o"}}, "cannot be a deployment's name"),
    ],
)
def test_what_could_not_be_called_or_metered_is_refused_at_the_start(more: dict[str, Any], says: str) -> None:
    """A version under which streams report nothing, a name that is more than one, no endpoint."""
    with pytest.raises(SettingsError, match=says):
        describe("azure", "k", **{"base_url": ENDPOINT, **more})


@pytest.mark.parametrize("more", [{"deployments": {"a": "b"}}, {"api_version": "2024-10-21"}])
def test_azures_settings_are_for_azure_only(more: dict[str, Any]) -> None:
    """Elsewhere they would do nothing."""
    with pytest.raises(SettingsError, match="azure"):
        describe("openai", "k", **more)


def test_only_deployments_that_are_set_are_there() -> None:
    """Where none are, any name that can be one."""
    some, free = Catalogue([resource(deployments={"prod": "gpt-4o"})]), Catalogue([resource()])
    assert some.resolve("openai", "azure/prod") is not None
    assert some.resolve("openai", "azure/gpt-4o") is None
    assert free.resolve("openai", "azure/gpt-4o") is not None
    for name in ("../../x", "a/b", "a?b", "a#b", "", ".", "a" * 65, "ä"):
        assert free.resolve("openai", f"azure/{name}") is None


@pytest.fixture
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    for name in ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_azure_is_on_with_its_key_and_its_endpoint_in_the_environment(nothing_set: pytest.MonkeyPatch) -> None:
    """With both; a key alone says not where."""
    nothing_set.setenv("AZURE_OPENAI_API_KEY", "k")
    assert "azure" not in load().settings.providers
    nothing_set.setenv("AZURE_OPENAI_ENDPOINT", ENDPOINT)
    found = catalogue_of(load().settings).providers["azure"]
    assert (found.base_url, found.api_key) == (ENDPOINT + "/openai/v1", "k")


@pytest.mark.parametrize(
    "name", ["deepseek", "mistral", "xai", "groq", "openrouter", "together", "fireworks", "perplexity", "cohere", "gemini"]
)
def test_a_known_host_is_on_with_its_key_in_the_environment(nothing_set: pytest.MonkeyPatch, name: str) -> None:
    """By the name of the variable that its own SDK reads."""
    nothing_set.setenv(f"{name.upper()}_API_KEY", "k")
    found = catalogue_of(load().settings).providers[name]
    assert (found.api_key, found.base_url.startswith("https://")) == ("k", True)


def test_any_other_host_takes_three_lines(nothing_set: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its dialect, its address, its key."""
    nothing_set.setenv("THEIR_KEY", "k")
    file = tmp_path / "farebox.toml"
    file.write_text('[providers.them]\ndialect = "openai"\nbase_url = "https://them.example/v1"\napi_key = "env:THEIR_KEY"\n')
    found = catalogue_of(load(file).settings).providers["them"]
    assert (found.dialect, found.base_url, found.cap_field, found.prices) == ("openai", "https://them.example/v1", "max_tokens", "them")
    file.write_text('[providers.them]\napi_key = "env:THEIR_KEY"\n')
    with pytest.raises(SettingsError, match="dialect and base_url are needed"):
        catalogue_of(load(file).settings)

"""Several keys of one provider, as settings say them."""

import pytest
from pydantic import SecretStr

from farebox import limits
from farebox.cli.config import _rows
from farebox.errors import SettingsError
from farebox.providers.configured import catalogue_of
from farebox.settings import load


def of(*more: str) -> dict[str, object]:
    return {"providers": {"openai": {"api_key": "sk-first", "api_keys": list(more)}}}


def test_the_first_key_and_more_are_a_pool_in_their_order() -> None:
    """Each as the provider would be with it alone; one key is no pool."""
    pool = catalogue_of(load(flags=of("sk-second", "sk-third")).settings).providers["openai"]
    assert [one.api_key for one in pool.with_each_key()] == ["sk-first", "sk-second", "sk-third"]
    assert [one.credential_header() for one in pool.with_each_key()][2] == (b"authorization", b"Bearer sk-third")
    alone = catalogue_of(load(flags=of()).settings).providers["openai"]
    assert (alone.api_keys, [one.api_key for one in alone.with_each_key()]) == ((), ["sk-first"])


def test_keys_may_be_named_as_the_first_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """env:NAME, from the file or in a variable of our own."""
    monkeypatch.setenv("SECOND", "sk-second")
    monkeypatch.setenv("FAREBOX_PROVIDERS__OPENAI__API_KEYS", '["env:SECOND"]')
    settings = load(flags={"providers": {"openai": {"api_key": "sk-first"}}}).settings
    assert settings.providers["openai"].api_keys == [SecretStr("sk-second")]


def test_a_key_twice_or_too_many_keys_are_refused_without_telling_them() -> None:
    """The message names the setting, and no key."""
    with pytest.raises(SettingsError, match=r"providers\.openai\.api_keys: a key is there twice") as twice:
        catalogue_of(load(flags=of("sk-second", "sk-first")).settings)
    with pytest.raises(SettingsError, match=r"providers\.openai\.api_keys") as many:
        load(flags=of(*(f"sk-{number}" for number in range(limits.more_keys_max + 1))))
    assert "sk-" not in twice.value.message + many.value.message


def test_the_shown_settings_mask_every_key() -> None:
    """As many masks as keys."""
    shown = {name: value for name, value, _ in _rows(load(flags=of("sk-second", "sk-third")))}
    assert len(shown["providers.openai.api_keys"]) == 2
    assert "sk-" not in str(shown)

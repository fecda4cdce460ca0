"""The form of keys: recognisable, checked, labelled."""

import re

from hypothesis import given
from hypothesis import strategies as st

from farebox import keyformat


def test_a_new_key_has_its_prefix_and_its_checksum() -> None:
    """fbx_ for gateway keys, fba_ for admin keys, 40 characters, 6 that check them."""
    for kind, prefix in keyformat.PREFIXES.items():
        secret = keyformat.new_secret(kind)
        assert re.fullmatch(prefix + "[0-9A-Za-z]{46}", secret)
        assert keyformat.kind_of(secret) == kind
        assert secret != keyformat.new_secret(kind)


@given(st.integers(0, 49), st.characters(min_codepoint=33, max_codepoint=126))
def test_any_one_wrong_character_is_noticed(at: int, character: str) -> None:
    """A key with a typing error is no key, without asking the store."""
    secret = keyformat.repeatable_secret("gateway", "owner", "name")
    wrong = secret[:at] + character + secret[at + 1 :]
    assert wrong == secret or keyformat.kind_of(wrong) is None


def test_a_label_shows_only_both_ends() -> None:
    """Eight characters and the last four."""
    secret = keyformat.new_secret("gateway")
    assert keyformat.label_of(secret) == f"{secret[:8]}…{secret[-4:]}"


def test_a_repeatable_secret_depends_on_owner_name_and_kind() -> None:
    """The same for the same request of the same admin key; another for any other."""
    secret = keyformat.repeatable_secret("gateway", "owner", "name")
    assert secret == keyformat.repeatable_secret("gateway", "owner", "name")
    others = {
        keyformat.repeatable_secret("gateway", "other", "name"),
        keyformat.repeatable_secret("gateway", "owner", "other"),
        keyformat.repeatable_secret("admin", "owner", "name"),
    }
    assert len({secret, *others}) == 4

"""Admin keys: the first one, the environment's, and what they are good for."""

from pathlib import Path

import pytest

from control.back import Back, open_back
from farebox.control.admin_keys import admin_key_file, ensure_admin_key
from farebox.errors import SettingsError
from farebox.keyformat import fingerprint_of, kind_of


async def test_the_first_admin_key_is_made_with_the_store_and_kept_in_a_file_of_mode_600(back: Back) -> None:
    """Its hash lies in the store, its secret nowhere but in the file."""
    file = admin_key_file(back.context.settings)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().strip() == back.secret
    assert kind_of(back.secret) == "admin"
    assert back.reports.admin_key(fingerprint_of(back.secret)) is not None
    stored = b"".join(path.read_bytes() for path in back.context.settings.store_path.parent.glob("farebox.db*"))
    assert back.secret.encode() not in stored


async def test_it_is_made_once(back: Back) -> None:
    """A second start makes no other key and shows nothing."""
    assert await ensure_admin_key(back.context.settings, back.batcher, back.reports) is None
    assert len(back.reports.admin_keys()) == 1


async def test_a_file_that_is_there_counts_for_a_new_store(tmp_path: Path) -> None:
    """Whoever dies between file and store, or replaces the store, keeps the key."""
    async with open_back(tmp_path) as first:
        secret = first.secret
    replaced = tmp_path / "elsewhere"
    replaced.mkdir()
    admin_key_file(first.context.settings).rename(replaced / "admin.key")
    async with open_back(replaced) as second:
        assert (await second.get("/accounts", secret=secret))["data"] == []


async def test_the_environments_key_counts_and_its_predecessor_no_longer(tmp_path: Path) -> None:
    """Changing FAREBOX_ADMIN_KEY takes effect with the next start, both ways."""
    async with open_back(tmp_path, admin_key="first-admin-key-of-mine") as opened:
        await opened.get("/accounts")
        assert not admin_key_file(opened.context.settings).exists()
    async with open_back(tmp_path, admin_key="second-admin-key-of-mine") as opened:
        await opened.get("/accounts", secret="second-admin-key-of-mine")
        problem = await opened.get("/accounts", secret="first-admin-key-of-mine", status=401)
        assert problem["code"] == "invalid_key"
    async with open_back(tmp_path, admin_key="first-admin-key-of-mine") as opened:
        await opened.get("/accounts", secret="first-admin-key-of-mine")


async def test_a_short_key_of_the_environment_is_refused(tmp_path: Path) -> None:
    """What can be guessed is no key."""
    with pytest.raises(SettingsError, match="16 to 256 characters"):
        async with open_back(tmp_path, admin_key="admin"):
            pass


@pytest.mark.parametrize("sent", [None, "nonsense", "fba_" + "0" * 46, "x" * 500])
async def test_who_sends_no_good_key_is_answered_401(back: Back, sent: str | None) -> None:
    """With a challenge, and in a problem document."""
    client = back.client(sent)
    answer = await client.get("/api/v1/accounts")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "invalid_key"


async def test_a_gateway_key_cannot_administer(back: Back) -> None:
    """It is known, and refused with a code of its own, on every route but the three."""
    account = await back.account()
    _, secret = await back.key(account)
    for method, path in (
        ("GET", "/accounts"),
        ("GET", "/keys"),
        ("GET", "/usage"),
        ("GET", "/prices"),
        ("POST", "/verify"),
        ("POST", "/keys"),
    ):
        problem = await back.ask(method, path, {} if method == "POST" else None, secret=secret, status=403)
        assert problem["code"] == "gateway_key_cannot_administer"

"""What the command line says about settings, and of what cannot work."""

import json
import socket

import pytest

from cli.terminal import Office, Terminal


def test_every_setting_is_shown_with_its_origin_and_secrets_masked(terminal: Terminal) -> None:
    """File, environment and default are told apart, and no secret is printed."""
    (terminal.folder / "farebox.toml").write_text('[server]\nlisten = "127.0.0.1:9999"\n[providers.openai]\napi_key = "sk-very-secret"\n')
    terminal.environment |= {"FAREBOX_LIMITS__HELD_WAIT_S": "3", "FAREBOX_ADMIN_KEY": "fba-also-very-secret-indeed"}
    done = terminal.run("config", "show", "--json")
    shown = json.loads(done.stdout)
    assert shown["server.listen"] == {"value": "127.0.0.1:9999", "from": "farebox.toml"}
    assert shown["limits.held_wait_s"] == {"value": 3, "from": "environment"}
    assert shown["store.url"] == {"value": "sqlite:///farebox.db", "from": "default"}
    assert shown["providers.openai.api_key"]["from"] == "farebox.toml"
    assert "very-secret" not in done.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[server]\nlissten = "127.0.0.1:1"', "server.lissten is not a setting; did you mean listen?"),
        ('[sever]\nlisten = "127.0.0.1:1"', "sever is not a setting; did you mean server?"),
        ('[providers.other]\napi_key = "x"', "providers.other: dialect and base_url are needed"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_right_one(terminal: Terminal, text: str, says: str) -> None:
    """`config check` exits 1 with what is wrong and what would be right."""
    (terminal.folder / "wrong.toml").write_text(text)
    assert says in terminal.fails("--config", "wrong.toml", "config", "check")


def test_commands_work_without_the_provider_keys_of_the_gateway(terminal: Terminal) -> None:
    """Whoever administers in another terminal need not have the providers' keys; whoever serves does."""
    (terminal.folder / "farebox.toml").write_text('[providers.openai]\napi_key = "env:NOT_SET_HERE"\n')
    assert "NOT_SET_HERE is not set" in terminal.fails("serve")
    assert terminal.json("accounts", "list")["data"] == []


@pytest.mark.parametrize("url", ["postgresql://me:hidden@db/farebox", "postgresql://me@db/farebox?password=hidden&sslmode=require"])
def test_a_password_within_a_url_is_masked(terminal: Terminal, url: str) -> None:
    """`config show` tells who and where, and not the password."""
    (terminal.folder / "farebox.toml").write_text(f'[store]\nurl = "{url}"\n')
    shown = terminal.json("config", "show")["store.url"]["value"]
    assert shown == url.replace("hidden", "••••••••")


def test_more_workers_than_sqlite_can_serve_are_refused(terminal: Terminal) -> None:
    """N > 1 on SQLite is refused in words, before anything is opened."""
    assert "SQLite serves one process" in terminal.fails("serve", "--workers", "2")
    assert list(terminal.folder.iterdir()) == []


def test_an_address_that_is_taken_is_one_line(terminal: Terminal) -> None:
    """The operating system's no, in one line that names the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"cannot listen on {address}" in terminal.fails("serve", "--listen", address)
        assert f"cannot serve on {address}" in terminal.fails("sim", "--listen", address)


def test_a_second_gateway_on_a_store_is_refused(office: Office) -> None:
    """The lock says who has the store."""
    assert "is in use by process" in office.fails("serve", "--listen", "127.0.0.1:0")


def test_a_gateway_that_is_named_and_not_there_is_one_line(terminal: Terminal) -> None:
    """`FAREBOX_URL` is believed: nothing else is tried."""
    variables = {"FAREBOX_URL": "http://127.0.0.1:1", "FAREBOX_ADMIN_KEY": "an-admin-key-of-enough-characters"}
    assert "the gateway at http://127.0.0.1:1 cannot be reached" in terminal.fails("accounts", "list", variables=variables)


def test_the_admin_key_of_another_gateway_is_refused(office: Office) -> None:
    """The gateway's own words, in one line."""
    variables = {"FAREBOX_URL": office.url, "FAREBOX_ADMIN_KEY": "an-admin-key-of-enough-characters"}
    assert office.fails("accounts", "list", variables=variables).startswith("invalid_key: ")

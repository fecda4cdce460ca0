"""Commands about people and money, over a gateway that runs."""

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from cli.terminal import Office


@pytest.fixture
def office(either_office: Office) -> Office:
    """All of this over each kind of store."""
    return either_office


def test_an_account_is_found_by_id_external_id_and_name(office: Office) -> None:
    """What `accounts create` made, every later command finds by whatever a person calls it; who is meant must be clear."""
    made = office.json("accounts", "create", "found by name", "--external-id", "ext-1", "--metadata", "plan=pro")
    assert made["metadata"] == {"plan": "pro"}
    shown = [office.json("accounts", "show", name) for name in (made["id"], "ext-1", "found by name")]
    assert {one["id"] for one in shown} == {made["id"]}
    assert shown[0]["balance"]["available"] == "0.00"
    assert made["id"] in {one["id"] for one in office.json("accounts", "list")["data"]}
    assert "there is no account 'nobody'" in office.fails("accounts", "show", "nobody")
    office.run("accounts", "create", "found by name")
    assert "2 accounts are called 'found by name'" in office.fails("balance", "found by name")


def test_a_top_up_with_an_id_is_credited_once(office: Office) -> None:
    """A repeat with the same --id answers and moves nothing; with another amount it is an error, and moves nothing."""
    account = office.json("accounts", "create", "payer")["id"]
    first = office.json("topup", account, "12.50", "--id", "invoice-7")
    again = office.json("topup", account, "12.50", "--id", "invoice-7")
    assert first["id"] == again["id"]
    assert office.fails("topup", account, "13", "--id", "invoice-7").startswith("id_conflict: ")
    balance = office.json("balance", account)
    assert (balance["granted"], balance["available"], len(balance["grants"])) == ("12.50", "12.50", 1)


def test_a_key_needs_a_cap_or_no_limit(office: Office) -> None:
    """Without a cap nothing is made: a usage error that names --no-limit."""
    account = office.json("accounts", "create", "capless")["id"]
    refused = office.run("keys", "create", "--account", account, code=2)
    assert "--no-limit" in refused.stderr
    assert office.json("keys", "list", "--account", account)["data"] == []
    made = office.json("keys", "create", "--account", account, "--no-limit", "--name", "open")
    assert made["data"]["limit"] is None
    assert "no cap of its own" in office.run("keys", "list", "--account", account).stdout


def test_a_key_is_paused_resumed_rotated_revoked(office: Office) -> None:
    """Each takes effect at the very next call, and says so."""
    _, secret = office.customer()
    key = secret[:8] + "…" + secret[-4:]
    assert office.call(secret).status_code == 200
    assert office.json("keys", "pause", key, "--why", "odd traffic")["data"]["status"] == "paused"
    assert office.call(secret).headers["x-farebox-reason"] == "key_paused"
    name = office.json("keys", "resume", key)["data"]["id"]
    assert office.call(secret).status_code == 200
    rotated = office.json("keys", "rotate", name)["key"]
    assert (office.call(secret).status_code, office.call(rotated).status_code) == (401, 200)
    assert office.json("keys", "revoke", name)["data"]["status"] == "revoked"
    assert office.call(rotated).headers["x-farebox-reason"] == "key_revoked"
    assert Decimal(str(office.json("keys", "show", name)["data"]["usage"])) > 0


def test_a_call_is_seen_in_charges_usage_balance_and_can_be_refunded(office: Office) -> None:
    """Every view tells the same amount; a refund gives it back as a grant."""
    account, secret = office.customer()
    answer = office.call(secret)
    (charge,) = office.json("charges", "--account", account)["data"]
    assert charge["price_usd"] == answer.headers["x-farebox-cost"]
    assert office.json("charges", "--request", answer.headers["x-farebox-request-id"])["data"] == [charge]
    (used,) = [row for row in office.json("usage", "--by", "account,model")["data"] if row["account"] == account]
    assert (used["price_usd"], used["calls"], used["model"]) == (charge["price_usd"], 1, "openai/gpt-4o-mini")
    assert office.json("balance", account)["spent"] == charge["price_usd"]
    assert office.json("refund", charge["id"])["amount_usd"] == charge["price_usd"]
    assert office.json("balance", account)["available"] == "5.00"
    assert office.fails("refund", charge["id"], "1").startswith("exceeds_paid: ")
    assert office.json("holds")["data"] == []


def test_one_budget_is_set_and_taken_away_beside_the_others(office: Office) -> None:
    """`budgets set` touches the budget it names; `none` takes that one away."""
    account = office.json("accounts", "create", "budgeted")["id"]
    office.run("budgets", "set", "20", "--account", account, "--window", "day")
    office.run("budgets", "set", "1000", "--account", account, "--measure", "requests", "--soft")
    page = office.json("budgets", "set", "30", "--account", account, "--window", "day")
    assert {(one["window"], one["measure"], one["limit_usd"], one["limit"]) for one in page["data"]} == {
        ("day", "price", "30.00", None),
        ("month", "requests", None, 1000),
    }
    left = office.json("budgets", "set", "none", "--account", account, "--window", "day")["data"]
    assert [(one["measure"], one["hard"]) for one in left] == [("requests", False)]
    assert office.json("budgets", "list", "--account", account)["data"] == left
    assert "invalid_request" in office.fails("budgets", "set", "5", "--account", account, "--window", "fortnight")


def test_a_quote_says_what_a_call_holds(office: Office, tmp_path: Path) -> None:
    """The worst case that `quote` works out is what the call of the same request sets aside."""
    account, secret = office.customer()
    request = tmp_path / "request.json"
    request.write_text('{"max_completion_tokens": 100, "messages": [{"role": "user", "content": "hi sim:output=20"}]}')
    quoted = office.json("quote", "gpt-4o-mini", str(request), "--account", account)
    held = office.call(secret).headers["x-farebox-hold"]
    assert quoted["fits"]
    assert abs(Decimal(quoted["worst_case_usd"]) - Decimal(held)) < Decimal("0.0001")
    assert office.json("quote", "claude-sonnet-5-5", "--text", "hi", "--account", account)["model"] == "anthropic/claude-sonnet-5-5"
    assert "is not a request in JSON" in office.fails("quote", "gpt-4o-mini", "farebox.toml", "--account", account)


def test_unusual_prices_are_taken_in_only_when_accepted(office: Office, tmp_path: Path) -> None:
    """A price that jumps is shown and refused; accepted, it is in the book. `diff` never changes anything."""
    listed = list(csv.DictReader(io.StringIO(office.run("prices", "show", "gpt-4.1-nano", "--csv").stdout)))
    row = next(row for row in listed if row["unit"] == "out_text")
    assert Decimal(row["usd"]) < 1
    row["usd"] = "9.875"
    file = tmp_path / "prices.csv"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, row.keys())
        writer.writeheader()
        writer.writerows(listed)
    assert office.json("prices", "diff", str(file))["needs_acceptance"] == 1
    refused = office.run("prices", "import", str(file), code=1)
    assert refused.stderr.startswith("farebox: needs_acceptance: ")
    assert "9.875" in refused.stdout
    assert office.json("prices", "import", str(file), "--accept")["changed"] == 1
    assert "9.875" in office.run("prices", "show", "gpt-4.1-nano").stdout


def test_the_books_add_up(office: Office) -> None:
    """`verify` names every equation and exits 0 while all hold."""
    verdict = office.json("verify")
    assert verdict["ok"]
    assert len(verdict["invariants"]) >= 12
    assert "holds: every hold ends in exactly one charge" in office.run("verify").stdout


@pytest.mark.parametrize("amount", ["-1", "1.0000000001"])
def test_what_is_no_amount_is_a_usage_error(office: Office, amount: str) -> None:
    """Nothing is rounded and nothing negative is put in: exit 2, and nothing is asked of the gateway."""
    assert "Invalid value" in office.run("topup", "--", "anybody", amount, code=2).stderr

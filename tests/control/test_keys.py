"""Keys over the API: made, shown in OpenRouter's names, changed, rotated, revoked; and what each could still cost."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from control.back import Back
from farebox.gateway.identify import hash_of
from farebox.keyformat import kind_of, label_of

OPENROUTER = {
    "hash",
    "name",
    "label",
    "disabled",
    "limit",
    "limit_remaining",
    "limit_reset",
    "include_byok_in_limit",
    "usage",
    "usage_daily",
    "usage_weekly",
    "usage_monthly",
    "byok_usage",
    "byok_usage_daily",
    "byok_usage_weekly",
    "byok_usage_monthly",
    "created_at",
    "updated_at",
    "expires_at",
    "creator_user_id",
    "workspace_id",
}


async def test_a_key_is_shown_in_the_names_that_openrouters_clients_know(back: Back) -> None:
    """With its secret once, and never again."""
    account = await back.account()
    made = await back.post("/keys", {"account": account, "name": "ci", "limit": 2.5, "limit_reset": "monthly", "tags": {"team": "a"}})
    shown, secret = made["data"], made["key"]
    assert shown.keys() >= OPENROUTER
    assert kind_of(secret) == "gateway"
    assert (shown["hash"], shown["label"]) == (hash_of(secret), label_of(secret))
    assert (shown["limit"], shown["limit_remaining"], shown["limit_reset"]) == (Decimal("2.5"), Decimal("2.5"), "monthly")
    again = await back.get(f"/keys/{shown['hash']}")
    assert again == {"data": shown}
    for path in ("/keys", f"/keys/{shown['id']}"):
        answer = await back.http.get(f"/api/v1{path}")
        assert secret not in answer.text


async def test_a_key_without_a_cap_must_be_asked_for(back: Back) -> None:
    """`limit`, or `no_limit`: not neither, not both."""
    account = await back.account()
    problem = await back.post("/keys", {"account": account}, status=422)
    assert problem["errors"][0]["field"] == "limit"
    await back.post("/keys", {"account": account, "limit": 1, "no_limit": True}, status=422)
    made = await back.post("/keys", {"account": account, "no_limit": True})
    assert made["data"]["limit"] is None
    key = made["data"]["id"]
    assert (await back.ask("PATCH", f"/keys/{key}", {"limit": "3"}))["data"]["limit"] == 3
    await back.ask("PATCH", f"/keys/{key}", {"limit": None}, status=422)
    assert (await back.ask("PATCH", f"/keys/{key}", {"no_limit": True}))["data"]["limit"] is None


async def test_the_same_request_many_times_at_once_makes_one_key_with_one_secret(back: Back) -> None:
    """And one account for its external user."""
    body = {"external_user": "user-17", "limit": "1", "name": "theirs"}
    answers = await asyncio.gather(*(back.post("/keys", body, once="same") for _ in range(30)))
    assert len({answer["key"] for answer in answers}) == 1
    assert len({answer["data"]["id"] for answer in answers}) == 1
    assert len((await back.get("/accounts"))["data"]) == 1
    assert len((await back.get("/keys"))["data"]) == 1
    client = back.client(answers[0]["key"])
    assert (await client.get("/api/v1/key")).status_code == 200


async def test_a_repeat_for_another_external_user_is_a_conflict_and_makes_nothing(back: Back) -> None:
    """The request is idempotent as a whole, its accounts included."""
    await back.post("/keys", {"external_user": "a", "limit": "1"}, once="same")
    for name in ("b", "a"):
        problem = await back.post("/keys", {"external_user": name, "limit": "1" if name == "b" else "2"}, once="same", status=409)
        assert problem["code"] == "id_conflict"
    assert [one["external_id"] for one in (await back.get("/accounts"))["data"]] == ["a"]


async def test_different_requests_for_a_new_external_user_at_once_share_its_account(back: Back) -> None:
    """Whoever is second finds the account that the first made."""
    made = await asyncio.gather(*(back.post("/keys", {"external_user": "a", "limit": "1", "name": str(n)}) for n in range(12)))
    assert len({one["data"]["account"] for one in made}) == 1
    assert len({one["data"]["id"] for one in made}) == 12
    assert len((await back.get("/accounts?external_id=a"))["data"]) == 1


async def test_a_rotated_key_has_another_secret_and_the_same_past(back: Back) -> None:
    """The old secret is refused at once; a repeat of the rotation shows the same new one."""
    account = await back.account()
    key, old = await back.key(account)
    await back.call(key, 100_000_000)
    rotated = await back.post(f"/keys/{key}/rotate", once="turn")
    assert (await back.post(f"/keys/{key}/rotate", once="turn"))["key"] == rotated["key"] != old
    assert rotated["data"]["usage"] == Decimal("0.10")
    assert (await back.client(old).get("/api/v1/key")).status_code == 401
    assert (await back.client(rotated["key"]).get("/api/v1/key")).status_code == 200


async def test_a_paused_key_holds_nothing_and_resumes(back: Back) -> None:
    """It says why; it may still ask about itself."""
    account = await back.account()
    key, secret = await back.key(account)
    paused = await back.post(f"/keys/{key}/pause", {"why": "odd spend"})
    assert (paused["data"]["disabled"], paused["data"]["status_why"]) == (True, "odd spend")
    assert await back.hold(key, 1000) is None
    assert back.refused == ["key_paused"]
    assert (await back.client(secret).get("/api/v1/key")).json()["data"]["disabled"] is True
    assert (await back.post(f"/keys/{key}/resume"))["data"]["disabled"] is False
    assert await back.hold(key, 1000) is not None


async def test_a_revoked_key_stays_so_and_leaves_the_list(back: Back) -> None:
    """DELETE may be repeated; the record stays."""
    account = await back.account()
    key, secret = await back.key(account)
    assert (await back.ask("DELETE", f"/keys/{key}"))["deleted"] is True
    assert (await back.ask("DELETE", f"/keys/{key}"))["deleted"] is True
    assert (await back.get("/keys"))["data"] == []
    assert [one["id"] for one in (await back.get("/keys?status=revoked"))["data"]] == [key]
    assert (await back.get(f"/keys/{key}"))["data"]["status"] == "revoked"
    assert (await back.post(f"/keys/{key}/resume", status=409))["code"] == "key_revoked"
    assert (await back.client(secret).get("/api/v1/key")).status_code == 401


async def test_a_change_keeps_what_was_spent(back: Back) -> None:
    """Limits go up and down, windows change; counters do not."""
    account = await back.account()
    key, _ = await back.key(account, "1.00")
    await back.call(key, 600_000_000, 600_000_000)
    lowered = await back.ask("PATCH", f"/keys/{key}", {"limit": "0.50"})
    assert (lowered["data"]["limit_remaining"], lowered["data"]["usage"]) == (0, Decimal("0.60"))
    assert await back.hold(key, 1000) is None
    daily = await back.ask("PATCH", f"/keys/{key}", {"limit": "1.00", "limit_reset": "daily"})
    assert (daily["data"]["limit_remaining"], daily["data"]["limit_reset"]) == (Decimal("0.40"), "daily")
    forever = await back.ask("PATCH", f"/keys/{key}", {"limit_reset": None})
    assert (forever["data"]["limit_remaining"], forever["data"]["limit_reset"]) == (Decimal("0.40"), None)


async def test_every_field_of_a_key_can_be_set_and_changed(back: Back) -> None:
    """What is sent comes back; what is not sent stays."""
    account = await back.account()
    fields: dict[str, Any] = {
        "name": "n",
        "models": ["openai/gpt-4o*", "claude-*"],
        "expires_at": "2030-01-01T00:00:00Z",
        "default_max_output_tokens": 500,
        "clamp": "always",
        "unknown_fields": "refuse",
        "rate_limits": {"requests_per_minute": 5, "tokens_per_minute": 1000, "concurrent": 2},
        "tags": {"team": "a"},
        "metadata": {"cost-centre": "7"},
        "disabled": True,
        "markup_basis_points": 1500,
    }
    made = (await back.post("/keys", {"account": account, "limit": "1", **fields}))["data"]
    assert {name: made[name] for name in fields} == fields
    patch: dict[str, Any] = {"models": [], "rate_limits": {"concurrent": None}, "expires_at": None, "disabled": False, "tags": {}}
    changed = (await back.ask("PATCH", f"/keys/{made['id']}", patch))["data"]
    expected = {**fields, **patch, "rate_limits": {"requests_per_minute": 5, "tokens_per_minute": 1000, "concurrent": None}}
    assert {name: changed[name] for name in fields} == expected
    problem = await back.ask("PATCH", f"/keys/{made['id']}", {"account": account}, status=422)
    assert problem["errors"] == [{"field": "account", "problem": "is fixed when a key is made"}]


@pytest.mark.parametrize(
    ("limit", "wallet", "budget", "expected"),
    [("1.00", "5.00", None, "1.00"), ("9.00", "5.00", None, "5.00"), (None, "5.00", None, "5.00"), ("9.00", "5.00", "0.25", "0.25")],
)
async def test_exposure_is_the_least_of_wallet_and_caps(
    back: Back, limit: str | None, wallet: str, budget: str | None, expected: str
) -> None:
    """The most that a thief could still spend."""
    account = await back.account(wallet)
    key, _ = await back.key(account, limit)
    if budget is not None:
        await back.ask("PUT", f"/accounts/{account}/budgets", [{"limit_usd": budget, "window": "month"}])
    assert (await back.get(f"/keys/{key}"))["data"]["exposure_usd"] == Decimal(expected)


async def test_exposure_counts_what_others_hold_and_not_what_they_spent(back: Back) -> None:
    """A hold may be given back, and then be spent by this key. Of a paused key only its own holds are left."""
    account = await back.account("1.00")
    mine, _ = await back.key(account, None)
    other, _ = await back.key(account, None)
    held = await back.hold(other, 400_000_000)
    own = await back.hold(mine, 100_000_000)
    await back.call(other, 50_000_000)
    assert held is not None
    assert own is not None
    assert (await back.get(f"/keys/{mine}"))["data"]["exposure_usd"] == Decimal("0.95")
    await back.charge(held, 400_000_000)
    assert (await back.get(f"/keys/{mine}"))["data"]["exposure_usd"] == Decimal("0.55")
    assert (await back.post(f"/keys/{mine}/pause"))["data"]["exposure_usd"] == Decimal("0.10")
    await back.charge(own, 10_000_000)
    assert (await back.get(f"/keys/{mine}"))["data"]["exposure_usd"] == 0


async def test_last_used_is_when_money_was_last_held(back: Back) -> None:
    """Null until then."""
    account = await back.account()
    key, _ = await back.key(account)
    assert (await back.get(f"/keys/{key}"))["data"]["last_used_at"] is None
    await back.call(key, 1000)
    request = await back.call(key, 1000)
    held = (await back.get(f"/holds?request_id={request}"))["data"][0]
    assert (await back.get("/keys"))["data"][0]["last_used_at"] == held["created_at"]


async def test_keys_are_listed_in_pages_by_cursor_and_by_offset(back: Back) -> None:
    """Every one once; paused ones can be left out."""
    account = await back.account()
    made = [(await back.key(account))[0] for _ in range(5)]
    page = await back.get("/keys?limit=2")
    assert [one["id"] for one in page["data"]] == made[:2]
    following = await back.get("/keys", params={"limit": 2, "cursor": page["next_cursor"]})
    assert [one["id"] for one in following["data"]] == made[2:4]
    assert [one["id"] for one in (await back.get("/keys?offset=4"))["data"]] == made[4:]
    await back.post(f"/keys/{made[0]}/pause")
    assert [one["id"] for one in (await back.get("/keys?include_disabled=false"))["data"]] == made[1:]
    assert (await back.get("/keys?cursor=bm9uc2Vuc2U", status=422))["code"] == "invalid_request"

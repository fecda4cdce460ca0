"""Keys, credits and generations in the field names that OpenRouter's clients know. Dollars here are exact JSON numbers."""

from typing import Any

from farebox.control import views
from farebox.control.wire import exact, moment
from farebox.ledger.model import Charge, Hold, Key
from farebox.money import format_usd
from farebox.store.reports import KeyView
from farebox.usage import INPUT_TOKEN_UNITS, OUTPUT_TOKEN_UNITS, TOOL_WEB_SEARCH

RESETS = {"daily": "day", "weekly": "week", "monthly": "month"}
_RESET_OF = {window: name for name, window in RESETS.items()}
_CUT = ("cut_drain", "drain_", "not_drained")
"""Outcomes of answers that were not read to their end because their client left."""
_COSTS = ("provider_cost_usd", "list_cost_usd")
_CACHED = ("in_cache_read", "in_cache_read_audio", "in_cache_read_image")


def key(view: KeyView, last_used_at: int | None) -> dict[str, Any]:
    one = view.key
    return {
        "id": one.id,
        "hash": one.hash,
        "name": one.name,
        "label": one.label,
        "account": one.account,
        "external_user": view.account.external_id,
        "status": one.status,
        "status_why": one.status_why,
        "status_since": moment(one.status_since),
        "disabled": one.status != "active",
        **_money(view),
        "exposure_usd": exact(view.exposure),
        "models": list(one.models),
        "clamp": one.clamp,
        "default_max_output_tokens": one.default_max_output_tokens,
        "unknown_fields": one.unknown_fields,
        "rate_limits": rates(one),
        "tags": one.tags,
        "metadata": one.metadata,
        "markup_basis_points": one.markup_basis_points,
        "markup_fixed_usd": exact(one.markup_fixed_nano),
        "created_at": moment(one.created_at),
        "updated_at": None,
        "expires_at": moment(one.expires_at),
        "last_used_at": moment(last_used_at),
        "creator_user_id": None,
        "workspace_id": one.root,
    }


def rates(one: Key) -> dict[str, int | None]:
    return {
        "requests_per_minute": one.requests_per_minute,
        "tokens_per_minute": one.tokens_per_minute,
        "concurrent": one.concurrent,
    }


def _money(view: KeyView) -> dict[str, Any]:
    cap, windows = view.limit, view.windows
    return {
        "limit": exact(None if cap is None else cap.budget.limit),
        "limit_remaining": exact(None if cap is None else max(cap.room, 0)),
        "limit_reset": _RESET_OF.get(view.key.limit_reset or ""),
        "include_byok_in_limit": False,
        "usage": exact(windows["lifetime"].price_spent),
        "usage_daily": exact(windows["day"].price_spent),
        "usage_weekly": exact(windows["week"].price_spent),
        "usage_monthly": exact(windows["month"].price_spent),
        "held": exact(windows["lifetime"].price_held),
        "byok_usage": exact(0),
        "byok_usage_daily": exact(0),
        "byok_usage_weekly": exact(0),
        "byok_usage_monthly": exact(0),
    }


def own_key(view: KeyView) -> dict[str, Any]:
    """What a key is told about itself: its own limits and what it may still spend, not the organization's money."""
    one = view.key
    return {
        "id": one.id,
        "name": one.name,
        "label": one.label,
        "status": one.status,
        "disabled": one.status != "active",
        **_money(view),
        "available": exact(view.available),
        "is_free_tier": False,
        "is_management_key": False,
        "is_provisioning_key": False,
        "rate_limits": rates(one),
        "rate_limit": {"requests": one.requests_per_minute or -1, "interval": "1m", "note": "See rate_limits."},
        "models": list(one.models),
        "created_at": moment(one.created_at),
        "expires_at": moment(one.expires_at),
        "creator_user_id": None,
    }


def admin_key(name: str, scope: str | None, spent: int) -> dict[str, Any]:
    """What an admin key is told about itself."""
    return {
        "label": name,
        "scope": scope,
        "limit": None,
        "limit_remaining": None,
        "limit_reset": None,
        "include_byok_in_limit": False,
        "usage": exact(spent),
        "is_free_tier": False,
        "is_management_key": True,
        "is_provisioning_key": True,
        "expires_at": None,
        "creator_user_id": None,
    }


def generation(attempts: list[tuple[Hold, Charge | None]], *, with_costs: bool) -> dict[str, Any]:
    """A request by what its attempts came to. `total_cost` is what was paid for all of them. What the provider bills the operator, and the
    markup, are for those who administer (`with_costs`).
    """
    hold, charge = attempts[-1]
    charges = [one for _, one in attempts if one is not None]
    units = _units(charge)
    timings = views.metered(charge)["timings"] if charge is not None else {}
    total = exact(sum(one.paid for one in charges))
    prompt = sum(units.get(unit, 0) for unit in INPUT_TOKEN_UNITS)
    completion = sum(units.get(unit, 0) for unit in OUTPUT_TOKEN_UNITS)
    return {
        "id": hold.request_id,
        "upstream_id": charge.upstream_request_id or None if charge is not None else None,
        "total_cost": total,
        "usage": total,
        "state": hold.state,
        "model": f"{hold.provider}/{hold.model}",
        "model_served": charge.model_served or None if charge is not None else None,
        "provider_name": hold.provider,
        "created_at": moment(hold.created_at),
        "origin": "",
        "external_user": hold.user or None,
        "is_byok": False,
        "streamed": None,
        "cancelled": charge is not None and charge.outcome.startswith(_CUT),
        "finish_reason": None,
        "latency": _ms(timings, "first_byte_us"),
        "generation_time": _ms(timings, "last_byte_us"),
        "tokens_prompt": prompt,
        "tokens_completion": completion,
        "native_tokens_prompt": prompt,
        "native_tokens_completion": completion,
        "native_tokens_cached": sum(units.get(unit, 0) for unit in _CACHED),
        "native_tokens_reasoning": None,
        "num_search_results": units.get(TOOL_WEB_SEARCH, 0),
        "attempts": [attempt(*one, with_costs=with_costs) for one in attempts],
        "key": hold.key,
        "run": hold.run,
        "tags": views.tags(hold.tags),
    }


def _units(charge: Charge | None) -> dict[str, int]:
    usage = views.metered(charge)["usage"] if charge is not None else {}
    found: dict[str, int] = usage.get("units", {})
    return found


def _ms(timings: dict[str, int], name: str) -> int | None:
    return timings[name] // 1000 if timings.get(name) else None


def attempt(hold: Hold, charge: Charge | None, *, with_costs: bool) -> dict[str, Any]:
    """One attempt: its hold, the versions it was quoted with, and its charge."""
    return {
        "attempt": hold.attempt,
        "hold": {"id": hold.id, "amount_usd": format_usd(hold.amount), "state": hold.state, "max_output_tokens": hold.units},
        "versions": {"price_book": hold.book_version, **(_markup(hold) if with_costs else {})},
        "charge": None
        if charge is None
        else {
            "outcome": charge.outcome,
            "status": charge.status,
            "upstream_request_id": charge.upstream_request_id,
            **{name: value for name, value in views.amounts(charge).items() if with_costs or name not in _COSTS},
            **views.metered(charge),
            "at": moment(charge.at),
        },
    }


def _markup(hold: Hold) -> dict[str, Any]:
    return {"markup_basis_points": hold.markup_basis_points, "markup_fixed_usd": format_usd(hold.markup_fixed_nano)}

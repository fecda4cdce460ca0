"""The demo's calls, told step by step: plain HTTP, the way an SDK sends it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from farebox.cli.api import Api
from farebox.cli.failing import Failed
from farebox.money import format_usd, parse_usd

_CALL_S_MAX = 30
_OK, _NO_MONEY = 200, 402
Tell = Callable[[str], None]


def play(api: Api, url: str, sim_url: str, tell: Tell) -> dict[str, Any]:
    """An account, a key, a call, a stream, a refusal. Returns all that happened. Raises Failed where it is not what was promised."""
    tell(f"\n1. Simulated providers answer at {sim_url}, and a gateway in front of them at {url}.")
    account = api.post("/accounts", {"name": "demo", "wallet": "own"})
    api.post(f"/accounts/{account['id']}/grants", {"amount_usd": "5.00", "note": "demo"})
    made = api.post("/keys", {"account": account["id"], "name": "demo", "limit": "1.00"})
    tell("\n2. An account with $5.00 in its wallet, and a key on it capped at $1.00:")
    tell(f"     {made['key']}")
    told: dict[str, Any] = {"url": url, "sim_url": sim_url, "account": account["id"], "key": made["key"], "key_id": made["data"]["id"]}
    tell("\n3. A call with the key, as OpenAI's SDK makes it: gpt-4o-mini, at most 500 output tokens.")
    told["call"] = _call(api, url, sim_url, made["key"], account["id"], tell)
    tell("\n4. A stream with the same key, as Anthropic's SDK makes it: claude-sonnet-5-5.")
    told["stream"] = _stream(api, url, sim_url, made["key"], account["id"], tell)
    tell("\n5. Another key, capped at $0.0001. The same call could cost more than that:")
    told["refusal"] = _refused(api, url, account["id"], tell)
    verdict = api.post("/verify")
    tell(f"\n6. The books add up: {len(verdict['invariants'])} equations hold over {verdict['counts']['charges']} charges.")
    return told


def _call(api: Api, url: str, sim_url: str, key: str, account: str, tell: Tell) -> dict[str, Any]:
    import httpx

    body = {
        "model": "gpt-4o-mini",
        "max_completion_tokens": 500,
        "messages": [{"role": "user", "content": "Why does a subway turnstile open only after you paid? sim:output=120"}],
    }
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=_bearer(key), timeout=_CALL_S_MAX, trust_env=False)
    if answer.status_code != _OK:
        raise Failed(f"the call was answered with {answer.status_code}: {answer.text[:200]}")
    text = answer.json()["choices"][0]["message"]["content"]
    return _came_to(api, sim_url, answer.headers, text, account, tell)


def _stream(api: Api, url: str, sim_url: str, key: str, account: str, tell: Tell) -> dict[str, Any]:
    import httpx

    body = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 400,
        "stream": True,
        "messages": [{"role": "user", "content": "Count the stations. sim:output=80 sim:pace=3"}],
    }
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    events = 0
    with httpx.stream("POST", f"{url}/v1/messages", json=body, headers=headers, timeout=_CALL_S_MAX, trust_env=False) as answer:
        for line in answer.iter_lines():
            events += line.startswith("event:")
    if answer.status_code != _OK:
        raise Failed(f"the stream was answered with {answer.status_code}")
    return _came_to(api, sim_url, answer.headers, f"{events} events", account, tell)


def _came_to(api: Api, sim_url: str, headers: Any, answered: str, account: str, tell: Tell) -> dict[str, Any]:
    """What was held, billed, charged and given back. The charge is there the moment the answer has ended."""
    charge = api.get("/charges", request_id=headers["x-farebox-request-id"])["data"][0]
    billed = _billed(sim_url, charge["upstream_request_id"])
    balance = api.get(f"/accounts/{account}/balance")
    held, price = parse_usd(charge["held_usd"]), parse_usd(charge["price_usd"])
    tell(f"     held      ${charge['held_usd']:<14} before a byte was sent on: the most that it can cost")
    tell(f"     answered  {answered[:70]!r}")
    tell(f"     billed    ${format_usd(billed):<14} by the provider's own count")
    tell(f"     charged   ${charge['price_usd']:<14} exactly that, once")
    tell(f"     released  ${format_usd(held - price):<14} the rest of the hold")
    tell(f"     balance   ${balance['available']:<14} of ${balance['granted']}, with ${balance['held']} held")
    if billed != price:
        raise Failed(f"the provider billed ${format_usd(billed)} and ${charge['price_usd']} was charged")
    return {
        "request_id": charge["request_id"],
        "held_usd": charge["held_usd"],
        "billed_usd": format_usd(billed),
        "charged_usd": charge["price_usd"],
        "released_usd": format_usd(held - price),
        "available_usd": balance["available"],
    }


def _billed(sim_url: str, name: str) -> int:
    import httpx

    rows = httpx.get(f"{sim_url}/sim/calls", timeout=_CALL_S_MAX, trust_env=False).json()["data"]
    return next(int(row["nano"]) for row in rows if row["id"] == name)


def _refused(api: Api, url: str, account: str, tell: Tell) -> dict[str, Any]:
    import httpx

    made = api.post("/keys", {"account": account, "name": "nearly nothing", "limit": "0.0001"})
    body = {"model": "gpt-4o-mini", "max_completion_tokens": 500, "messages": [{"role": "user", "content": "One more?"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=_bearer(made["key"]), timeout=_CALL_S_MAX, trust_env=False)
    if answer.status_code != _NO_MONEY:
        raise Failed(f"a call that should be refused was answered with {answer.status_code}")
    error = answer.json()["error"]
    spent = api.get(f"/keys/{made['data']['id']}")["data"]["usage"]
    tell(f"     {answer.status_code} {answer.headers['x-farebox-reason']}: {error['message']}")
    tell(f"     Nothing was sent to the provider, and the key has spent ${spent}.")
    return {"status": answer.status_code, "reason": answer.headers["x-farebox-reason"], "message": error["message"]}


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def tell_how_to_go_on(url: str, key: str, folder: Path) -> None:
    """What to type next, with the real address and the real key."""
    from farebox.cli.output import say

    say(
        f"""
Go on, in another terminal:

  curl {url}/v1/chat/completions -H "Authorization: Bearer {key}" \\
    -H "content-type: application/json" -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "hello"}}]}}'

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="{key}")

  from anthropic import Anthropic
  client = Anthropic(base_url="{url}", api_key="{key}")

  export FAREBOX_CONFIG={folder}/farebox.toml     # then: farebox charges, farebox keys list, farebox balance demo, farebox verify

  farebox demo --leak                             # rehearse a stolen key

Ctrl-C stops it."""
    )

"""Items of responses as a test makes and names them: what is asked, refused, held, and known of them."""

import json
from typing import Any

import httpx

from support.house import House

PLAIN, THINKS = "gpt-4o-mini", "gpt-5-mini"
SEARCH = {"type": "web_search"}
LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object"}}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def named(*names: str) -> list[dict[str, str]]:
    return [{"type": "item_reference", "id": name} for name in names]


async def ask(house: House, secret: str, given: Any, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    body = {"model": PLAIN, "input": given, "max_output_tokens": 128, **more}
    return await house.http.post(f"{house.url}/v1/responses", headers={"authorization": f"Bearer {secret}", **(headers or {})}, json=body)


async def count(house: House, secret: str, given: Any, model: str = PLAIN) -> httpx.Response:
    """The provider's own count, which costs nothing."""
    headers, body = {"authorization": f"Bearer {secret}"}, {"model": model, "input": given}
    return await house.http.post(f"{house.url}/v1/responses/input_tokens", headers=headers, json=body)


async def items_of(house: House, secret: str, text: str = "hi", **more: Any) -> list[str]:
    """The ids of what a response is made of."""
    answer = await ask(house, secret, text, **more)
    assert answer.status_code == 200, answer.text
    return [str(item["id"]) for item in answer.json()["output"]]


async def bound(house: House, secret: str, given: Any, **more: Any) -> int:
    dry = await ask(house, secret, given, {"x-farebox-dry-run": "1"}, **more)
    assert dry.status_code == 200, dry.text
    return int(dry.json()["input_tokens_max"])


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["x-farebox-reason"] == "not_found"
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "not_found")
    return answer.status_code, error["message"]


def facts(house: House, name: str) -> dict[str, Any]:
    ((told,),) = house.rows("SELECT facts FROM objects WHERE kind = 'item' AND id = ?", name)
    found: dict[str, Any] = json.loads(told)
    return found

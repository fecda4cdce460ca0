"""A stolen key, rehearsed: many clients hammer one capped key until everything is refused; then the provider's own bill is laid beside the
ledger, call by call. The engine alone: it needs a gateway and a simulator that run, and tells whoever watches. Owns no terminal.
"""

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from farebox.cli.api import Answer
from farebox.cli.drill import (
    HELD,
    NO_MONEY,
    OK,
    SHAPES,
    Check,
    Drill,
    Figures,
    Rehearsal,
    Shape,
    Site,
    compare_answers,
    compare_calls,
    compare_sums,
    nano,
)
from farebox.cli.failing import Failed
from farebox.ids import new_id
from farebox.money import format_usd, parse_usd

_WATCH_EVERY_S = 0.2
_SETTLE_ROUNDS_MAX = 1200
_CALL_S_MAX = 60
_PAUSE_S = 0.05
_PAGE = 1000
_NO_TLS = ssl.create_default_context()
_STALE_MAX = 200
"""Connections to a gateway that was killed may be tried before a new one is made."""
_DONE_AFTER = 3
"""A client gives up after this many refusals of the smallest call in a row."""
Watch = Callable[[Figures], None]


async def rehearse(site: Site, drill: Drill, watch: Watch = lambda _: None) -> Rehearsal:
    """Makes an account and a key, lets the clients loose, waits for what is on its way, and compares."""
    async with _client() as http:
        rehearsing = _Rehearsing(site, drill, http, watch)
        await rehearsing.prepare()
        async with rehearsing.watched():
            await rehearsing.hammer()
            await rehearsing.settle()
        return await rehearsing.compare()


def _client() -> httpx.AsyncClient:
    """Each thief has connections of its own: one pool of hundreds would be busier looking through itself than calling."""
    return httpx.AsyncClient(timeout=_CALL_S_MAX, trust_env=False, verify=_NO_TLS)


class _Rehearsing:
    """One rehearsal, from its preparation to its end."""

    def __init__(self, site: Site, drill: Drill, http: httpx.AsyncClient, watch: Watch) -> None:
        self._site = site
        self._drill = drill
        self._http = http
        self._watch = watch
        self._label = new_id("leak").replace("_", "-")
        self._random = random.Random(drill.seed)  # noqa: S311 - the same calls in the same order, not a secret
        self._figures = Figures(time.monotonic())
        self._reasons: Counter[str] = Counter()
        self._killing = asyncio.Lock()
        self._killed = drill.kill is None
        self._statuses: Counter[int] = Counter()

    # --- the gateway's people ---------------------------------------------------------------------------------------------------------

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        url = f"{self._site.admin_url}/api/v1{path}"
        headers = {"authorization": f"Bearer {self._site.admin_key}"}
        asked = {name: value for name, value in query.items() if value is not None}
        for _ in range(_STALE_MAX):
            try:
                answer = await self._http.request(method, url, params=asked, json=body, headers=headers)
                return Answer(answer.status_code, answer.content).good()
            except httpx.TransportError:
                if self._drill.kill is None or not self._killed:
                    raise
        raise Failed("the gateway that was started again cannot be reached")

    async def _all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = await self._ask("GET", path, limit=_PAGE, cursor=cursor, **query)
            rows += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return rows

    async def prepare(self) -> None:
        """An account with money, the key that will be stolen, and another that will not."""
        account = await self._ask("POST", "/accounts", {"name": "leak drill"})
        self._account = str(account["id"])
        await self._ask("POST", f"/accounts/{self._account}/grants", {"amount_usd": self._drill.wallet_usd})
        self._stolen = await self._ask("POST", "/keys", {"account": self._account, "name": "stolen", "limit": self._drill.cap_usd})
        self._other = await self._ask("POST", "/keys", {"account": self._account, "name": "not stolen", "limit": "1.00"})
        self._key_id = str(self._stolen["data"]["id"])

    # --- the thieves ------------------------------------------------------------------------------------------------------------------

    async def hammer(self) -> None:
        """All clients at once, until each is refused even the smallest call. Raises Failed when that takes too long."""
        self._figures.began = time.monotonic()
        try:
            async with asyncio.timeout(self._drill.seconds_max), asyncio.TaskGroup() as clients:
                for number in range(self._drill.clients):
                    clients.create_task(self._thief(random.Random(self._random.random() + number)))  # noqa: S311 - as above
        except TimeoutError:
            raise Failed(f"after {self._drill.seconds_max} s the key still has money: {self._figures.asked} calls were made") from None

    async def _thief(self, chance: random.Random) -> None:
        """Any shape at first; after a refusal only smaller ones. Spent only grows, so what is refused with 402 stays refused."""
        largest, refused = len(SHAPES) - 1, 0
        async with _client() as http:
            while refused < _DONE_AFTER:
                chosen = chance.randint(0, largest)
                status = await self._call(http, SHAPES[chosen])
                if status == NO_MONEY:
                    largest = max(min(largest, chosen - 1), 0)
                    refused += chosen == 0
                elif status != OK:
                    await asyncio.sleep(_PAUSE_S)

    async def _call(self, http: httpx.AsyncClient, shape: Shape) -> int:
        """One call; its status, 0 where the connection broke."""
        await self._perhaps_kill()
        url, headers, body = self._request(shape, self._stolen["key"])
        self._figures.asked += 1
        try:
            async with http.stream("POST", url, headers=headers, json=body) as answer:
                await self._read(shape, answer)
                status = answer.status_code
                reason = answer.headers.get("x-farebox-reason", "")
        except httpx.TransportError:
            self._figures.broken += 1
            return 0
        self._count(status, reason, shape)
        return status

    async def _read(self, shape: Shape, answer: httpx.Response) -> None:
        """All of an answer, or (who leaves) its first pieces."""
        pieces = 0
        async for _ in answer.aiter_raw():
            pieces += 1
            if shape.leaves and pieces > 1 and answer.status_code == OK:
                self._figures.left += 1
                return

    def _count(self, status: int, reason: str, shape: Shape) -> None:
        self._statuses[status] += 1
        if status == OK:
            self._figures.answered += not shape.leaves
        elif status == HELD:
            self._figures.waited += 1
        else:
            self._figures.refused += 1
        if reason:
            self._reasons[reason] += 1

    def _request(self, shape: Shape, key: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        words = [f"sim:bill={self._label}", f"sim:output={shape.output}"]
        words += [f"sim:pace={shape.pace_ms}"] if shape.pace_ms else []
        words += [f"sim:usage={self._drill.usage}"] if self._drill.usage else []
        if self._drill.ignore_cap:
            words = [word for word in words if not word.startswith("sim:output")] + [f"sim:output={shape.cap * 2}", "sim:ignore_cap=1"]
        body = {"model": shape.model, "messages": [{"role": "user", "content": " ".join(words)}], "max_tokens": shape.cap}
        headers = {"authorization": f"Bearer {key}"}
        if shape.stream:
            body["stream"] = True
        if shape.dialect == "anthropic":
            return f"{self._site.url}/anthropic/v1/messages", {**headers, "anthropic-version": "2023-06-01"}, body
        return f"{self._site.url}/v1/chat/completions", headers, body

    async def _perhaps_kill(self) -> None:
        """Once, after so many answers. Whoever comes meanwhile waits."""
        if self._killed or self._figures.answered < self._drill.kill_after:
            return
        async with self._killing:
            if self._drill.kill is not None and not self._killed:
                self._figures.phase = "killed"
                shared = self._site.admin_url == self._site.url
                self._site.url = await self._drill.kill()
                self._site.admin_url = self._site.url if shared else self._site.admin_url
                self._killed = True
                self._figures.phase = "hammering"

    # --- whoever watches --------------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        watching = asyncio.ensure_future(self._watching())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        await self._look()

    async def _watching(self) -> None:
        while True:
            try:
                await self._look()
            except (httpx.TransportError, Failed):  # it is being killed
                self._watch(self._figures)
            await asyncio.sleep(_WATCH_EVERY_S)

    async def _look(self) -> None:
        key = (await self._ask("GET", f"/keys/{self._key_id}"))["data"]
        self._figures.charged, self._figures.held = nano(key["usage"]), nano(key["held"])
        bill = (await self._http.get(f"{self._site.sim_url}/sim/bill", params={"by": "label"})).json()["data"]
        self._figures.bill = next((int(row["nano"]) for row in bill if row["label"] == self._label), 0)
        self._watch(self._figures)

    # --- the comparison ---------------------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Waits until nothing is held: answers whose clients left are read to their end."""
        self._figures.phase = "settling"
        for _ in range(_SETTLE_ROUNDS_MAX):
            if not (await self._ask("GET", "/holds", state="open", key=self._key_id, limit=1))["data"]:
                break
            await asyncio.sleep(_PAUSE_S)
        self._figures.phase = "comparing"

    async def compare(self) -> Rehearsal:
        """What must be so at the end."""
        drill = self._drill
        charges = await self._all("/charges", key=self._key_id)
        bill = await self._bill()
        key = (await self._ask("GET", f"/keys/{self._key_id}"))["data"]
        checks = [
            *compare_calls(drill, charges, bill),
            *compare_sums(drill, charges, bill),
            Check("nothing is held", not key["held"], f"${key['held']:f} held"),
        ]
        checks += [
            await self._too_small(key),
            await self._books(),
            compare_answers(drill, self._figures, self._statuses),
            await self._other_works(),
        ]
        return Rehearsal(self._figures, checks, dict(self._reasons.most_common()), self._key_id, self._account)

    async def _bill(self) -> dict[str, int]:
        """The provider's own nano-dollars, by the id that it gave each call."""
        found: dict[str, int] = {}
        after = None
        while True:
            query = {"label": self._label, **({"after": after} if after else {})}
            page = (await self._http.get(f"{self._site.sim_url}/sim/calls", params=query)).json()
            found |= {row["id"]: int(row["nano"]) for row in page["data"] if int(row["nano"])}
            after = page.get("next")
            if not after:
                return found

    async def _too_small(self, key: dict[str, Any]) -> Check:
        """What is left could not pay the smallest call."""
        _, _, body = self._request(SHAPES[0], "")
        quoted = await self._ask("POST", "/quotes", {"key": self._key_id, "route": "chat_completions", "body": body})
        left, least = nano(key["limit_remaining"]), parse_usd(quoted["worst_case_usd"])
        return Check("what is left is less than the smallest call", left < least, f"${format_usd(left)} left, ${format_usd(least)} needed")

    async def _books(self) -> Check:
        try:
            verdict = await self._ask("POST", "/verify", {})
        except Failed as problem:
            return Check("the books add up", ok=False, says=str(problem))
        return Check("the books add up", ok=True, says=f"{len(verdict['invariants'])} equations hold")

    async def _other_works(self) -> Check:
        url, headers, body = self._request(SHAPES[0], self._other["key"])
        body["messages"] = [{"role": "user", "content": "Are you still there?"}]
        answer = await self._http.post(url, headers=headers, json=body)
        return Check(
            "another key of the same wallet still works", answer.status_code == OK, f"its call was answered with {answer.status_code}"
        )

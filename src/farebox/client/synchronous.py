"""The synchronous client. What can be asked is in `asks`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from farebox.client import asks, sending
from farebox.client.asks import Ask, Usd
from farebox.client.errors import Failed
from farebox.client.results import Charge, Hold

P = ParamSpec("P")
T = TypeVar("T")


class _Room:
    def __init__(self, client: "Client") -> None:
        self._client = client


def _asking(ask: Callable[P, Ask[T]]) -> Callable[Concatenate[Any, P], T]:
    """A method that sends what `ask` makes of its arguments."""

    @wraps(ask)
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        client: Client = self._client
        return client.send(ask(*args, **kwargs))

    return method


class Accounts(_Room):
    """Accounts and their money."""

    create = _asking(asks.create_account)
    get = _asking(asks.get_account)
    list = _asking(asks.list_accounts)
    balance = _asking(asks.balance)
    grant = _asking(asks.grant)


class Keys(_Room):
    """Gateway keys."""

    create = _asking(asks.create_key)
    get = _asking(asks.get_key)
    list = _asking(asks.list_keys)
    pause = _asking(asks.pause_key)
    resume = _asking(asks.resume_key)
    revoke = _asking(asks.revoke_key)


class Meters(_Room):
    """Own meters."""

    set = _asking(asks.set_meter)


class Holds(_Room):
    """Money for work that is not proxied."""

    create = _asking(asks.create_hold)
    extend = _asking(asks.extend_hold)
    capture = _asking(asks.capture_hold)
    release = _asking(asks.release_hold)

    @contextmanager
    def hold(self, **asked: Any) -> Iterator["Held"]:
        """A hold for a piece of work (as `create`): captured within, or given back when the work fails or ends without."""
        held = Held(self._client, self.create(**asked))
        try:
            yield held
        except BaseException:
            with suppress(Failed):  # what went wrong first is what is told; an unreachable gateway ends the hold by its deadline
                held.release()
            raise
        held.release()


class Held:
    """A hold at work."""

    def __init__(self, client: "Client", hold: Hold) -> None:
        self._client = client
        self.hold = hold
        self.charge: Charge | None = None

    @property
    def id(self) -> str:
        return self.hold.id

    def extend(self, *, amount_usd: Usd | None = None, quantity: Usd | None = None, lifetime_s: int | None = None) -> Hold:
        """More money, more time, or both."""
        ask = asks.extend_hold(self.id, amount_usd=amount_usd, quantity=quantity, lifetime_s=lifetime_s)
        self.hold = self._client.send(ask)
        return self.hold

    def capture(self, amount_usd: Usd | None = None, *, quantity: Usd | None = None) -> Charge:
        """Charges what the work came to."""
        self.charge = self._client.send(asks.capture_hold(self.id, amount_usd, quantity=quantity))
        return self.charge

    def release(self) -> None:
        """Gives back what was not captured; after a capture it does nothing."""
        if self.charge is None:
            self.charge = self._client.send(asks.release_hold(self.id))


class Events(_Room):
    """Work that is done, told of afterwards."""

    send = _asking(asks.send_event)
    send_many = _asking(asks.send_events)


class Client:
    """Speaks to a gateway at `url` (FAREBOX_URL) with an admin key (FAREBOX_ADMIN_KEY). Holds may be taken with a gateway key, for itself.

    Every request may be tried again after a broken connection: it carries an Idempotency-Key, and is carried out once.
    """

    usage = _asking(asks.usage)

    def __init__(self, url: str | None = None, key: str | None = None, *, timeout_s: float = sending.TIMEOUT_S) -> None:
        base, headers = sending.place(url, key)
        self._client = self
        self._http = httpx.Client(base_url=base, headers=headers, timeout=timeout_s)
        self.accounts = Accounts(self)
        self.keys = Keys(self)
        self.meters = Meters(self)
        self.holds = Holds(self)
        self.events = Events(self)

    def send(self, ask: Ask[T]) -> T:
        """Sends a request, again if need be. Raises Refused, Unreachable."""
        attempt = 1
        while True:
            answer, problem = self._once(ask)
            if not sending.tried_again(answer, attempt):
                return sending.result(ask, answer, problem)
            time.sleep(sending.pause_s(attempt))
            attempt += 1

    def _once(self, ask: Ask[T]) -> tuple[httpx.Response | None, Exception | None]:
        try:
            return self._http.request(ask.method, ask.path, content=ask.content, headers=sending.headers(ask)), None
        except httpx.TransportError as problem:
            return None, problem

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

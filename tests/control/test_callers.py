"""Whose key was sent: looked up once for all who send it at the same time, and again soon."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from control.back import Back
from farebox import limits
from farebox.control.caller import Admin
from farebox.control.office import Office
from farebox.control.unproxied.payers import Callers
from farebox.store.reports import Reports

T = TypeVar("T")


class Counted(Office):
    """An office that counts what it is asked."""

    asked = 0

    async def read(self, question: Callable[[Reports], T]) -> T:
        self.asked += 1
        return await super().read(question)


async def test_a_key_that_many_send_at_once_is_looked_up_once(back: Back) -> None:
    """Also when what was remembered of it has become old."""
    office = Counted(back.context)
    callers, sent = Callers(office), f"Bearer {back.secret}".encode()
    try:
        found = await asyncio.gather(*(callers.of(sent) for _ in range(50)))
        assert office.asked == 1
        assert all(isinstance(one, Admin) and one is found[0] for one in found)
        assert await callers.of(sent) is found[0]
        assert office.asked == 1
        await asyncio.sleep(limits.caller_remembered_s_max)
        await asyncio.gather(*(callers.of(sent) for _ in range(50)))
        assert office.asked == 2
    finally:
        office.close()


async def test_a_key_is_remembered_in_one_spelling(back: Back) -> None:
    """Another spelling of the scheme, or spaces, are the same caller, and take no room of their own: they may be long."""
    office = Counted(back.context)
    callers = Callers(office)
    try:
        found = await callers.of(f"bearer {' ' * 30_000}{back.secret} ".encode())
        plain = f"Bearer {back.secret}".encode()
        assert callers.known(plain) is found is await callers.of(plain) is await callers.of(b"BEARER  " + back.secret.encode())
        assert office.asked == 1
        assert list(callers._known) == [plain]
        assert callers.known(b"") is callers.known(b"Bearer ") is callers.known(plain + b"x") is None
    finally:
        office.close()

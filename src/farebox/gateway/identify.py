"""Who is asking: a key's secret into what is laid down for it. Remembers policies; the ledger's own commit says when one is out of date."""

from collections import OrderedDict
from hashlib import sha256

from farebox.clock import to_rfc3339
from farebox.errors import AccountPaused, InvalidKey, KeyExpired, KeyPaused, KeyRevoked, Refusal
from farebox.gateway.sharing import Shared
from farebox.ledger.plan import Policy
from farebox.store.reading import Lookup

_REMEMBERED_MAX = 100_000
"""About 5 kB each: an active key costs memory, not a look-up per call."""


def hash_of(secret: str) -> str:
    """What is stored of a key: its secret has more than 128 random bits, so a plain digest cannot be guessed back."""
    return sha256(secret.encode()).hexdigest()


class Keyring:
    """Finds policies by a key's secret. What it remembers may be stale; whoever refuses because of it asks again (`fresh`)."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: OrderedDict[str, Policy] = OrderedDict()
        self._reading: Shared[Policy] = Shared()

    def known(self, secret: str) -> Policy | None:
        """What is remembered of a key."""
        return self._known.get(hash_of(secret))

    async def identify(self, secret: str) -> Policy:
        """The policy of a key. Raises InvalidKey, and LedgerDown when it cannot be looked up."""
        key_hash = hash_of(secret)
        policy = self._known.get(key_hash)
        return await self._reading.read(key_hash, lambda: self._read(key_hash)) if policy is None else policy

    async def fresh(self, secret: str) -> Policy:
        """The policy of a key as the ledger has it now. Raises InvalidKey, and LedgerDown when it cannot be looked up."""
        key_hash = hash_of(secret)
        self._known.pop(key_hash, None)
        return await self._reading.read_anew(key_hash, lambda: self._read(key_hash))

    async def _read(self, key_hash: str) -> Policy:
        policy = await self._lookup.policy_by_hash(key_hash)
        if policy is None:
            raise InvalidKey
        self._known[key_hash] = policy
        if len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)
        return policy


def refusal_of(policy: Policy, now: int) -> Refusal | None:
    """Why this key may not spend now, if so."""
    key = policy.key
    if key.status == "revoked":
        return KeyRevoked()
    if key.expires_at is not None and now >= key.expires_at:
        return KeyExpired(expired_at=to_rfc3339(key.expires_at))
    if key.status != "active":
        return KeyPaused(since=to_rfc3339(key.status_since), why=key.status_why or "no reason given")
    for account in policy.path:
        if account.status != "active":
            return AccountPaused(since=to_rfc3339(account.status_since), why=account.status_why or "no reason given")
    return None

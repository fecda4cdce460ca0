"""Everything Farebox refuses or fails with. The docstring of an error is its message; `{names}` are filled from its facts.

FareboxError
├── SettingsError                       the operator: what is configured cannot work
├── StoreError                          the ledger's database
│   ├── LedgerUnavailable               not now; nothing was acknowledged
│   └── IdConflict                      the same id with other content
├── CommandRefused                      control plane: this command cannot be carried out
└── Refusal                             data plane: an answer with a status, a reason, and words in the caller's dialect
    ├── caller's fault                  Unauthorized*, NoMoney*, Forbidden*, BadRequest*
    └── not the caller's fault          Upstream*, LedgerDown, Busy, Draining
"""

from typing import ClassVar

Fact = str | int | bool | None


class FareboxError(Exception):
    """Something went wrong in Farebox."""

    code: ClassVar[str] = "internal"

    def __init__(self, **facts: Fact) -> None:
        self.facts = facts
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The docstring's first paragraph with the facts filled in."""
        text = " ".join((type(self).__doc__ or "").split("\n\n")[0].split())
        return text.format_map(_Facts(self.facts))


class _Facts(dict[str, Fact]):
    def __missing__(self, name: str) -> str:
        return ""


class SettingsError(FareboxError):
    """{problem}"""

    code = "settings"


class StoreError(FareboxError):
    """The ledger's database failed: {problem}"""

    code = "store"


class LedgerUnavailable(StoreError):
    """The ledger cannot be reached: {problem}"""

    code = "ledger_unavailable"


class IdConflict(StoreError):
    """The id {id} was used before with other content; nothing was done."""

    code = "id_conflict"


class CommandRefused(FareboxError):
    """{problem}"""

    def __init__(self, code: str, problem: str, **facts: Fact) -> None:
        self.refused_code = code
        super().__init__(problem=problem, **facts)


class Refusal(FareboxError):
    """The request was refused."""

    status: ClassVar[int] = 400
    reason: ClassVar[str] = "invalid_request"
    retry: ClassVar[bool | None] = None
    """What `x-should-retry` says: False on whatever must not be tried again, None to leave it out. Never True (providers.md §1.7)."""

    @property
    def retry_after_s(self) -> int | None:
        """Seconds for `Retry-After`, where waiting helps."""
        value = self.facts.get("retry_after_s")
        return value if isinstance(value, int) else None

    @property
    def may_have_charged(self) -> bool:
        """Whether the provider may have billed the attempt behind this refusal."""
        return bool(self.facts.get("may_have_charged", False))

    @property
    def should_retry(self) -> bool | None:
        """`x-should-retry` for this one: never again where an attempt may have been billed."""
        return False if self.status >= 500 and self.may_have_charged else self.retry  # noqa: PLR2004


# --- who is asking -----------------------------------------------------------------------------------------------------------


class InvalidKey(Refusal):
    """This is not a key of this gateway. Check the key, and that the base URL is the gateway's. {detail}"""

    status, reason, code = 401, "invalid_key", "invalid_key"


class KeyRevoked(Refusal):
    """This key was revoked and cannot be used again."""

    status, reason, code = 401, "key_revoked", "key_revoked"


class KeyExpired(Refusal):
    """This key expired at {expired_at}."""

    status, reason, code = 401, "key_expired", "key_expired"


class KeyPaused(Refusal):
    """This key is paused since {since}: {why}"""

    status, reason, code = 403, "key_paused", "key_paused"


class AccountPaused(Refusal):
    """The account of this key is paused since {since}: {why}"""

    status, reason, code = 403, "account_paused", "account_paused"


class ModelNotAllowed(Refusal):
    """This key may not use {model}. It may use: {allowed}"""

    status, reason, code = 403, "model_not_allowed", "model_not_allowed"


class ModelNotPriced(Refusal):
    """{model} has no price in this gateway's price book, so its cost cannot be held. The operator can add one with `farebox prices import`."""

    status, reason, code = 403, "model_not_priced", "model_not_priced"


# --- money -------------------------------------------------------------------------------------------------------------------


class NoMoney(Refusal):
    """Not enough money."""

    status, retry = 402, False


class Exhausted(NoMoney):
    """Insufficient balance: nothing is available ({scope}). {topup}"""

    reason = code = "exhausted"


class ExceedsAvailable(NoMoney):
    """Insufficient balance: this request may cost up to {needed}, available {available} ({scope}). {affordable}"""

    reason = code = "exceeds_available"


class BudgetExceeded(NoMoney):
    """The {window} budget of {scope} has {available} left and this request may cost up to {needed}. It renews at {renews_at}."""

    reason = code = "budget_exceeded"


class ExceedsMaxCost(NoMoney):
    """This request may cost up to {needed}, above the ceiling of {available} that it named itself."""

    reason = code = "exceeds_max_cost"


class Held(Refusal):
    """There is money, but calls in flight have it set aside: this request may cost up to {needed}, available now {available}. Try again shortly."""

    status, reason, code = 429, "held", "held"


class RateLimited(Refusal):
    """Rate limit reached: {limit}. Try again in {retry_after_s} s."""

    status, reason, code = 429, "rate_limited", "rate_limited"


# --- what is asked -----------------------------------------------------------------------------------------------------------


class InvalidRequest(Refusal):
    """{problem}"""

    status, reason, code = 400, "invalid_request", "invalid_request"


class AmbiguousBody(Refusal):
    """{problem} Two readers could understand this body differently, so its cost cannot be known."""

    status, reason, code = 400, "ambiguous_body", "ambiguous_body"


class CostUnbounded(Refusal):
    """The cost of this request has no upper bound because of `{field}`: {why} {setting}"""

    status, reason, code = 400, "cost_unbounded", "cost_unbounded"


class RouteNotFound(Refusal):
    """{method} {path} is not served here: only routes that are metered and priced exist. {hint}"""

    status, reason, code = 404, "route_not_found", "route_not_found"


class ModelNotFound(Refusal):
    """The model {model} does not exist here. {candidates}"""

    status, reason, code = 404, "model_not_found", "model_not_found"


class NotFound(Refusal):
    """There is no {what} of that id for this key."""

    status, reason, code = 404, "not_found", "not_found"


class MethodNotAllowed(Refusal):
    """{path} takes {allowed}, not {method}."""

    status, reason, code = 405, "method_not_allowed", "method_not_allowed"


class AlreadyCharged(Refusal):
    """A request with this Idempotency-Key was already charged as {request_id}; its recorded answer is not available."""

    status, reason, code, retry = 409, "already_charged", "already_charged", False


class InProgress(Refusal):
    """A request with this Idempotency-Key is still running as {request_id}."""

    status, reason, code, retry = 409, "in_progress", "in_progress", False


class TooLarge(Refusal):
    """The {what} is larger than {limit}."""

    status, reason, code = 413, "too_large", "too_large"


class UnsupportedEncoding(Refusal):
    """A request body with Content-Encoding {encoding} cannot be bounded: send it as it is, without compression."""

    status, reason, code = 415, "unsupported_encoding", "unsupported_encoding"


class IdempotencyMismatch(Refusal):
    """This Idempotency-Key was used before for another request: use a new one."""

    status, reason, code, retry = 422, "idempotency_mismatch", "idempotency_mismatch", False


# --- not the caller's fault --------------------------------------------------------------------------------------------------


class UpstreamUnreachable(Refusal):
    """The provider {provider} could not be reached ({problem}). {charged}"""

    status, reason, code = 502, "upstream_unreachable", "upstream_unreachable"


class UpstreamBadResponse(Refusal):
    """The provider {provider} answered with something that is not a valid response ({problem}). {charged}"""

    status, reason, code = 502, "upstream_bad_response", "upstream_bad_response"


class UpstreamTimeout(Refusal):
    """The provider {provider} did not answer in time ({problem}). {charged}"""

    status, reason, code = 504, "upstream_timeout", "upstream_timeout"


class UpstreamAccount(Refusal):
    """The gateway's own account with {provider} cannot serve this right now. Its operator has been told; the request was not charged."""

    status, reason, code, retry = 503, "upstream_account", "upstream_account", False


class LedgerDown(Refusal):
    """The ledger is not available, and no call is made without it. Nothing was charged."""

    status, reason, code = 503, "ledger_unavailable", "ledger_unavailable"


class Busy(Refusal):
    """The gateway is at its limit ({limit}). Nothing was charged."""

    status, reason, code = 503, "busy", "busy"


class Draining(Refusal):
    """This gateway is shutting down. Nothing was charged; try again."""

    status, reason, code = 503, "draining", "draining"


class Internal(Refusal):
    """The gateway failed on its own account ({incident}). {charged}"""

    status, reason, code = 500, "internal", "internal"


class ChargePending(Refusal):
    """The provider has answered, but the ledger could not be reached to charge the call. It is charged as soon as it can be: do not repeat it."""

    status, reason, code, retry = 503, "ledger_unavailable", "ledger_unavailable", False

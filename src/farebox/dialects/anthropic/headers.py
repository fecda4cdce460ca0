"""The headers and betas of a messages request: which decide who pays, which are known, and which nobody here has heard of.

All `anthropic-` headers go along byte for byte, since a beta and the field that it allows must travel together (providers.md §2.6): what a beta
costs shows in the body, where that field is priced, bounded or refused. So only what decides the payer is refused here, and no setting lifts
that. What is not known passes, and is counted by name; a key that passes no unknown fields passes none of these either.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from farebox.dialects.fields import refuse_cost

_PAYER = "it decides who pays."
_OWN = b"anthropic-"
_BETA = b"anthropic-beta"
_KNOWN = frozenset((_BETA, b"anthropic-version", b"anthropic-dangerous-direct-browser-access"))
_DECIDING = (b"billing", b"credit", b"organization", b"profile", b"project", b"spend", b"workspace")
"""In the name of a header."""
PAYER_BETAS = ("user-profiles",)
"""How betas begin that let a request name its payer, whatever follows: a date, or more words."""
_PASSING = frozenset(
    (
        *("advanced-tool-use", "advisor-tool", "cache-diagnosis", "ce-plugins", "claude-code", "code-execution", "compact", "computer-use"),
        *("context-1m", "context-management", "dev-full-thinking", "effort", "extended-cache-ttl", "fallback-credit", "fast-mode"),
        *("files-api", "fine-grained-tool-streaming", "inline-tools", "interleaved-thinking", "mcp-client", "message-batches"),
        *("message-threads", "mid-conversation-output-config", "mid-conversation-system-clear-at", "mid-conversation-tool-changes"),
        *("model-context-window-exceeded", "oauth", "output-128k", "output-300k", "pdfs", "prompt-caching", "server-side-fallback"),
        *("skills", "structured-outputs", "task-budgets", "thinking-binding-controls", "thinking-display-updates"),
        *("thinking-token-count", "token-counting", "token-efficient-tools", "web-fetch", "web-search"),
    )
)
"""Betas without their dates: what each of them costs is decided by a field of the body."""
_DATE = re.compile(r"-[0-9]{4}-?[0-9]{2}-?[0-9]{2}$")
_NAMES_MAX = 16
_NAME_CHARS_MAX = 64
_KEPT = 256


def read(headers: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """The names of what is not known. Raises CostUnbounded for what decides who pays."""
    unknown: tuple[str, ...] = ()
    for name in headers:
        if name.startswith(_OWN) and name not in _KNOWN:
            if any(word in name for word in _DECIDING):
                refuse_cost(_shown(name), _PAYER)
            unknown += (_shown(name),)
    betas = headers.get(_BETA)
    return (*unknown, *_unknown(betas))[:_NAMES_MAX] if betas else unknown[:_NAMES_MAX]


@lru_cache(maxsize=_KEPT)
def _unknown(betas: bytes) -> tuple[str, ...]:
    """The unknown among betas. Clients send the same ones with every call."""
    found = []
    for beta in betas.decode("latin-1").split(","):
        name = beta.strip().lower()
        if name.startswith(PAYER_BETAS):
            refuse_cost("anthropic-beta", f"{name[:_NAME_CHARS_MAX]!r} decides who pays.")
        if name and _DATE.sub("", name) not in _PASSING:
            found.append(f"anthropic-beta: {ascii(name)[1:-1][:_NAME_CHARS_MAX]}")
    return tuple(found)


def _shown(name: bytes) -> str:
    return ascii(name.decode("latin-1"))[1:-1][:_NAME_CHARS_MAX]

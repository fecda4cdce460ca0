"""How much is drawn: the same short selection every time, and with `FAREBOX_SOAK=1` other ones, and many more."""

import os

from hypothesis import HealthCheck, settings

SOAK = os.environ.get("FAREBOX_SOAK") == "1"


_HOSTS = ("", "perplexity", "xai", "deployment")
"""Of those that speak the same API: the ones that read it most differently."""


def is_drawn(name: str) -> bool:
    """Whether a route as someone speaks it is fuzzed: in the long form all are."""
    return SOAK or name.partition("@")[2] in _HOSTS


def drawn(examples: int) -> settings:
    """So many of each, and fifty times as many in the long form."""
    return settings(
        max_examples=examples * 50 if SOAK else examples,
        derandomize=not SOAK,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )

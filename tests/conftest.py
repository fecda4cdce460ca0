"""What all tests share: a process that does not walk a million objects of loaded modules, which stay for good, again and again."""

import gc

gc.disable()


def pytest_collection_finish() -> None:
    """All that is there by now stays."""
    gc.freeze()
    gc.enable()

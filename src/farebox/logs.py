"""Log lines: to standard error, as text for people or JSON for machines. Never bodies, never keys."""

import logging
import sys
from typing import Any, TextIO

import structlog

from farebox.settings import Log


def configure(log: Log) -> None:
    """Sets up what every `structlog.get_logger()` in the process writes."""
    shared: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    if log.format == "json":
        last: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[log.level.upper()]),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )


def _to_stderr(*_names: Any) -> structlog.PrintLogger:
    """Whatever standard error is now: a test may have put its own there."""
    stream: TextIO = sys.stderr
    return structlog.PrintLogger(stream)

"""The tables that come with Farebox beside this room's modules. Owns finding and reading them, not what they mean."""

import csv
from importlib.resources import files


def lines(name: str) -> list[dict[str, str]]:
    """The lines of a table, each by its column names."""
    text = files("farebox.pricing.importer").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))

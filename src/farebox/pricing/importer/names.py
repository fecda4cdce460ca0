"""Names that the imported list knows only by a pattern (names.csv): each an exact name that two price lists agree on.

The list matches `us.anthropic.claude-sonnet-4-6` by "contains"; a book has exact names only. A line is taken when the list's own matching
finds that model and a second, independent list has the name at no dearer price. A line without a model takes a name away from the
model that the list gives it to: the second list has it dearer, so nobody gets it at that model's price.
"""

from collections.abc import Iterable

import msgspec

from farebox.pricing.importer.tables import lines
from farebox.pricing.rows import ModelRow


def named(models: Iterable[ModelRow]) -> list[ModelRow]:
    """Models with the names of names.csv, where their own provider lists them and no other model has the name."""
    rows = {(row.provider, row.model): row for row in models}
    taken = {(row.provider, name) for row in rows.values() for name in row.names}
    for line in lines("names.csv"):
        provider, name = line["provider"], line["name"]
        if not line["model"]:
            _take_away(rows, provider, name)
        elif (row := rows.get((provider, line["model"]))) is not None and (provider, name) not in taken:
            rows[provider, row.model] = msgspec.structs.replace(row, names=(*row.names, name))
            taken.add((provider, name))
    return list(rows.values())


def _take_away(rows: dict[tuple[str, str], ModelRow], provider: str, name: str) -> None:
    for key, row in rows.items():
        if key[0] == provider and name in row.names and name != row.model:
            rows[key] = msgspec.structs.replace(row, names=tuple(each for each in row.names if each != name))

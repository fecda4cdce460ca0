"""docs/settings.md is the settings' own classes, and every toml block works."""

import json
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.pages import PAGES, Block, blocks, page, rows
from farebox.providers.configured import catalogue_of
from farebox.settings import Settings, load

_TOML = [block for one in PAGES for block in blocks(one, "toml")]


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> list[tuple[str, FieldInfo]]:
    """Every value that can be set, by dotted name; NAME stands for a name of the operator's own."""
    found: list[tuple[str, FieldInfo]] = []
    for name, field in model.model_fields.items():
        inner, below = _section(field.annotation), (*path, name)
        if inner is None:
            found.append((".".join(below), field))
        else:
            found += _fields(inner, below if inner is field.annotation else (*below, "NAME"))
    return found


def _section(annotation: Any) -> type[BaseModel] | None:
    """The class of a section, or of each entry where a setting is a table of sections."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "–" if field.default is None else f"`{json.dumps(field.default)}`"  # noqa: RUF001 - how tables show nothing


def _row(name: str, field: FieldInfo) -> list[str]:
    return [f"`{name}`", _default(field), field.description or ""]


def test_every_setting_is_documented() -> None:
    """The tables of docs/settings.md have a row per setting: its name, its default, its description; and no others."""
    documented = [cells for cells in rows(page("docs/settings.md")) if cells[0].startswith("`")]
    expected = [_row(name, field) for name, field in _fields(Settings)]
    wanted = "\n".join(f"| {' | '.join(cells)} |" for cells in expected)
    assert [cells[:2] for cells in documented] == [cells[:2] for cells in expected], f"the tables should be:\n{wanted}"
    for cells, right in zip(documented, expected, strict=True):
        assert cells[2], f"{cells[0]} says nothing"
        assert not right[2] or cells[2] == right[2], f"{cells[0]}: {right[2]}"


@pytest.mark.parametrize("block", _TOML, ids=lambda block: block.where)
def test_every_toml_block_loads(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings as a page shows them load, and the providers and aliases in them can work."""
    for name in [name for name in os.environ if name.startswith(("FAREBOX_", "OPENAI_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
    for name in re.findall(r'"env:(\w+)"', block.text):
        monkeypatch.setenv(name, "sk-simulated")
    file = tmp_path / "farebox.toml"
    file.write_text(block.text, "utf-8")
    catalogue_of(load(file).settings)

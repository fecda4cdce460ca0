"""The project's Markdown, read: pages, code blocks, inline code, links. Owns reading; does not own running what it finds."""

import re
import shlex
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(msgspec.Struct, frozen=True):
    """A fenced code block. `language` is empty for what is typed at a terminal."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """What is typed, one command each, without comments; a backslash at a line's end goes on."""
        if self.language not in ("", "sh", "bash", "console"):
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [command for command in (re.split(r"(?:^|\s)#\s", line)[0].strip() for line in lines) if command]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def page(name: str) -> Path:
    return ROOT / name


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The code blocks of a page in their order."""
    text = page.read_text("utf-8")
    found = [Block(page, text.count("\n", 0, one.start()) + 2, one[1], one[2]) for one in _FENCE.finditer(text)]
    return [block for block in found if language is None or block.language == language]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def inline(page: Path) -> list[str]:
    """What stands between single backticks."""
    return _INLINE.findall(prose(page))


def links(page: Path) -> list[str]:
    """Targets of links and images within the project, without fragments."""
    found = (target.partition("#")[0] for target in _LINK.findall(prose(page)))
    return [target for target in found if target and "://" not in target and not target.startswith("mailto:")]


def rows(page: Path) -> list[list[str]]:
    """All table rows of a page, cell by cell, without headings' rulers."""
    lines = [line for line in prose(page).splitlines() if line.startswith("|") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def farebox_lines(page: Path) -> list[tuple[str, list[str]]]:
    """Every `farebox …` in a page's code blocks: as it is written, and its arguments."""
    typed = [command for block in blocks(page) for command in block.commands]
    return [(command, shlex.split(command)[1:]) for command in typed if command.startswith("farebox ")]

"""What can be checked of the style is a test: who may import whom, no float near money, nothing unfinished, no names that say nothing."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
SOURCE = REPO / "src" / "farebox"
MODULES = {file.relative_to(SOURCE): ast.parse(file.read_text("utf-8")) for file in sorted(SOURCE.rglob("*.py"))}
OWN_FILES = [file for folder in ("src", "tests", "scripts", "bench") for file in sorted((REPO / folder).rglob("*.py"))]

# --- who may import whom -----------------------------------------------------------------------------------------------------------------

VOCABULARY = {"clock", "errors", "ids", "keyformat", "limits", "money", "settings", "usage", "__version__"}
PURE = {"ledger", "pricing", "dialects", "providers"}
EDGES = {"metrics", "serving", "connection", "exchange", "request", "logs", "figures", "supervisor"}
BACK_OFFICE = {"console", "guard", "billing", "reconcile"}
DATA_PLANE = VOCABULARY | PURE | EDGES | {"store"}
MAY_IMPORT = {
    **dict.fromkeys(VOCABULARY | PURE | EDGES, VOCABULARY),
    "request": VOCABULARY | {"exchange"},
    "connection": VOCABULARY | {"exchange", "request"},
    "serving": VOCABULARY | {"connection", "exchange", "request"},
    "figures": VOCABULARY | {"metrics"},
    "sim": {"__version__"},
    "client": set(),
    "store": VOCABULARY | PURE,
    "gateway": DATA_PLANE,
    "control": DATA_PLANE | {"gateway"},
    **dict.fromkeys(BACK_OFFICE, DATA_PLANE | {"gateway", "control"}),
    "app": DATA_PLANE | BACK_OFFICE | {"gateway", "control"},
    "node": DATA_PLANE | {"gateway", "app"},
    "cli": DATA_PLANE | BACK_OFFICE | {"gateway", "control", "app", "node", "sim"},
    "__main__": {"cli"},
}
WORLD = {"apsw", "asyncio", "fastapi", "h11", "http", "httptools", "httpx", "pydantic", "requests", "select", "socket", "sqlite3", "ssl"}
WORLD |= {"starlette", "structlog", "subprocess", "threading", "uvicorn", "uvloop"}
FRAMEWORKS = {"fastapi", "jinja2", "pydantic", "sqlalchemy", "starlette"}


def room_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module of other rooms or of the world that is imported anywhere in this one, by its full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            yield from (f"farebox.{alias.name}" for alias in node.names) if module == "farebox" else (module,)


def rooms_used(tree: ast.AST) -> set[str]:
    return {name.split(".")[1] for name in imported(tree) if name.startswith("farebox.")}


def outsiders(tree: ast.AST) -> set[str]:
    return {name.partition(".")[0] for name in imported(tree)}


def reaches_up(tree: ast.AST) -> bool:
    """Whether it imports relative to a folder above its own."""
    return any(isinstance(node, ast.ImportFrom) and node.level > 1 for node in ast.walk(tree))


def in_rooms(rooms: set[str]) -> list[tuple[Path, ast.Module]]:
    return [(module, tree) for module, tree in MODULES.items() if room_of(module) in rooms]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_rooms_import_only_what_lies_below_them(module: Path) -> None:
    """vocabulary ← pure rules ← store ← gateway | control and the back office ← app, cli. The gateway never imports the control plane."""
    room = room_of(module)
    if module == Path("__init__.py"):
        assert rooms_used(MODULES[module]) <= {"client"}  # for type checkers: it is loaded when it is asked for
        return
    assert room in MAY_IMPORT, f"a new room: say in this test what {room} may import"
    assert rooms_used(MODULES[module]) - {room} <= MAY_IMPORT[room]
    assert not reaches_up(MODULES[module])


def test_rules_know_nothing_of_the_world() -> None:
    """Ledger, prices, dialects and providers are functions from values to values: no sockets, databases, threads, loops or logs."""
    found = {str(module): outsiders(tree) & WORLD for module, tree in in_rooms(PURE)}
    assert not {module: names for module, names in found.items() if names}


def test_the_data_plane_carries_no_framework() -> None:
    """Raw ASGI, no validation library, no templates."""
    found = {str(module): outsiders(tree) & FRAMEWORKS for module, tree in in_rooms({"gateway", "store"})}
    assert not {module: names for module, names in found.items() if names}


def test_only_the_store_touches_the_database() -> None:
    """Nobody else opens one. The command line may ask SQLite for its version, and tell its errors."""
    assert {room_of(module) for module, tree in MODULES.items() if "apsw" in outsiders(tree)} <= {"store", "cli"}
    for module, tree in in_rooms({"cli"}):
        opened = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ("Connection", "connect_reader")]
        assert not opened, module


def test_price_data_is_read_when_it_is_imported_and_not_before() -> None:
    """genai-prices is a large package: only the importer knows it (and the simulator, which shares no pricing), and a gateway starts without."""
    for module, tree in MODULES.items():
        if "genai_prices" in outsiders(tree):
            assert module.parts[:2] == ("pricing", "importer") or room_of(module) == "sim", module
    code = "import sys, farebox.app; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- money -------------------------------------------------------------------------------------------------------------------------------

# Where a float may stand near money, and why it is not money.
NOT_MONEY = {("pricing/importer/exact.py", "/"): "a Fraction by an integer: exact"}


def floats_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, repr(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("float", "round"):
            yield node.lineno, f"{node.func.id}()"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "/"


def test_no_float_comes_near_money() -> None:
    """No float literal, no float(), no round(), no true division in the rooms that hold amounts."""
    found = [
        f"{module}:{line} {what}"
        for module, tree in in_rooms({"ledger", "pricing", "store", "money"})
        for line, what in floats_in(tree)
        if (module.as_posix(), what) not in NOT_MONEY
    ]
    assert not found


# --- names and marks ---------------------------------------------------------------------------------------------------------------------

UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error)\b|pragma: no" + " cover")
SAYS_NOTHING = re.compile(r"(^|_)(utils?|helpers?|common|managers?|services?|misc)($|_)")
WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
PLACES = re.compile(r"(?<![\w./-])/(ho" + r"me|Us" + r"ers|wo" + r"rk|ro" + r"ot)/\w")
TEXT = {".py", ".md", ".toml", ".sql", ".sh", ".txt", ".yml", ".yaml", ".json", ".html", ".css", ".js", ""}


def own_texts() -> Iterator[Path]:
    """Every text file of the repository that people wrote."""
    for file in sorted(REPO.rglob("*")):
        parts = file.relative_to(REPO).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts) or "__pycache__" in parts
        if file.is_file() and not hidden and file.suffix in TEXT:
            yield file


def test_nothing_is_marked_as_unfinished() -> None:
    """It is finished, or it is not there."""
    found = [f"{file.relative_to(REPO)}: {match[0]}" for file in OWN_FILES for match in UNFINISHED.finditer(file.read_text("utf-8"))]
    assert not found


def test_no_name_says_nothing() -> None:
    """Modules, folders and classes are named after what they own."""
    names = {str(file.relative_to(REPO)): file.stem for file in OWN_FILES}
    names |= {str(file.parent.relative_to(REPO)): file.parent.name for file in OWN_FILES}
    for module, tree in MODULES.items():
        names |= {f"{module} {node.name}": WORD.sub("_", node.name).lower() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assert not [place for place, name in names.items() if SAYS_NOTHING.search(name)]


def test_no_machine_is_named() -> None:
    """Nobody's home folder, nobody's work place."""
    found = []
    for file in own_texts():
        text = file.read_text("utf-8", errors="replace")
        found += [f"{file.relative_to(REPO)}: {text[match.start() : match.end() + 20]!r}" for match in PLACES.finditer(text)]
    assert not found


def test_every_exception_to_the_linter_has_its_reason() -> None:
    """On the same line, unless its code says it all: a protocol's own number (PLR2004), a method that another library names (N802)."""
    bare = re.compile(r"#\s*noqa(?!: (PLR2004|N802)\b)(?!: [A-Z0-9, ]+ +[-#] \S)|#\s*type: ignore(?!\[)")
    found = [
        f"{file.relative_to(REPO)}:{number}"
        for file in OWN_FILES
        if file != Path(__file__)
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert not found


# --- shape -------------------------------------------------------------------------------------------------------------------------------

# The edges: where whatever goes wrong must still be answered. Function and why.
CATCHES_ALL: dict[tuple[str, str], str] = {
    ("gateway/edge.py", "__call__"): "the top of the data plane: the caller gets an answer in its words",
    ("control/app.py", "__call__"): "the top of the control plane",
    ("control/unproxied/app.py", "__call__"): "the top of its routes without a framework",
    ("gateway/upstream/answer.py", "_pour"): "called by a connection, on behalf of a reader: the one who reads gets it",
    ("gateway/background.py", "_whatever_comes"): "a background loop: one call that cannot be settled must not hold up the others",
    ("store/batcher.py", "_decide"): "a background loop: whoever waits must be answered",
    ("store/batcher.py", "_result_of"): "a background loop: the one who asked gets it",
    ("store/sweeper.py", "_again_and_again"): "a background loop: without it others would take this process for dead",
    ("cli/root.py", "run"): "the command line: one line instead of a traceback",
}
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def catches_all(handler: ast.ExceptHandler) -> bool:
    """Bare, `Exception`, or `BaseException` that does not go on."""
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type is not None else {"Exception"}
    goes_on = any(isinstance(node, ast.Raise) and node.exc is None for node in handler.body)
    return "Exception" in names or ("BaseException" in names and not goes_on)


def test_everything_is_caught_only_at_the_edges() -> None:
    """Elsewhere an except names what it expects."""
    found = {
        (module.as_posix(), function.name)
        for module, tree in MODULES.items()
        for function in functions(tree)
        for node in ast.walk(function)
        if isinstance(node, ast.ExceptHandler) and catches_all(node)
    }
    inner = found & CATCHES_ALL.keys()
    assert found == inner, f"not among the named edges: {found - inner}"
    assert set(CATCHES_ALL) == inner, f"no longer an edge: {set(CATCHES_ALL) - inner}"


def measured(measure: Callable[[Path, ast.Module], Iterator[tuple[str, int]]]) -> list[tuple[str, int]]:
    return [found for module, tree in MODULES.items() for found in measure(module, tree)]


def test_functions_can_be_seen_whole() -> None:
    """At most seventy lines; most have fewer than ten."""

    def lengths(module: Path, tree: ast.Module) -> Iterator[tuple[str, int]]:
        yield from ((f"{module} {node.name}", (node.end_lineno or 0) - node.lineno + 1) for node in functions(tree))

    found = measured(lengths)
    assert not [(name, lines) for name, lines in found if lines > FUNCTION_LINES_MAX]
    assert sorted(lines for _, lines in found)[len(found) // 2] < 10


def test_modules_have_one_job_and_say_which() -> None:
    """A docstring that names it, and at most four hundred lines."""
    assert not [str(module) for module, tree in MODULES.items() if not (ast.get_docstring(tree) or "").strip()]
    lines = {str(module): len((SOURCE / module).read_text("utf-8").splitlines()) for module in MODULES}
    assert not {module: count for module, count in lines.items() if count > MODULE_LINES_MAX}


def test_every_test_states_a_fact() -> None:
    """Its name is a rule, and its docstring says it in words."""
    silent = [
        f"{file.relative_to(REPO)} {node.name}"
        for file in sorted((REPO / "tests").rglob("test_*.py"))
        for node in functions(ast.parse(file.read_text("utf-8")))
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent

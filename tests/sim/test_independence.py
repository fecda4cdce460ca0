"""The simulator is a product of its own."""

import ast
from pathlib import Path

import farebox.sim


def test_simulator_shares_no_code_with_the_gateway() -> None:
    """Its bill is worth comparing with only while nothing of the gateway is in it."""
    folder = Path(farebox.sim.__file__).parent
    found = set()
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "farebox"}
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{path.name} reaches out of its room"
                if node.level == 0 and (node.module or "").split(".")[0] == "farebox":
                    found |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert found == {"farebox.__version__"}


def test_every_word_is_documented() -> None:
    """The table in the package's docstring names every word that is understood."""
    from farebox.sim.words import Words

    for name in Words.__struct_fields__:
        assert f"sim:{name}=" in (farebox.sim.__doc__ or ""), name

"""The house rules that no linter states: who may know which library."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = {
    "azure.functions": ("functions/", "function_app.py", "local/host/"),
    "azure.durable_functions": ("functions/", "function_app.py", "local/host/"),
    "azure.storage": ("shared/azure/", "local/arm/"),
    "azure.data": ("shared/azure/",),
    "azure.identity": ("shared/azure/",),
    "azure.core": ("shared/azure/", "local/arm/"),
    "azure.mgmt": ("shared/azure/",),
    "azure.servicebus": ("shared/azure/", "local/host/"),
}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources() -> list[Path]:
    folders = [ROOT / name for name in ("shared", "functions", "cli", "local")]
    found = [path for folder in folders for path in folder.rglob("*.py")]
    return [ROOT / "function_app.py", *(p for p in found if "node_modules" not in p.parts)]


@pytest.mark.parametrize("library", RULES)
def test_a_library_is_known_only_where_it_belongs(library: str) -> None:
    strangers = [
        str(path.relative_to(ROOT))
        for path in sources()
        if not str(path.relative_to(ROOT)).startswith(RULES[library])
        and any(name == library or name.startswith(f"{library}.") for name in imports(path))
    ]
    assert strangers == []


def test_importing_the_app_has_no_side_effect(tmp_path: Path) -> None:
    """No settings, no connection, no file: it is imported in an empty environment."""
    import subprocess
    import sys

    code = "import function_app, sys; sys.exit(len(function_app.app.get_functions()) < 10)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []

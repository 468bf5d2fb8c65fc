"""The house: who may import whom (the table of the README), and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "llm_fleet"

ROWS = (
    {"models", "errors"},
    {"config", "profiles", "chain", "telemetry", "embedded"},
    {"store", "tokens"},
    {"engine", "providers"},
    {"pool", "session"},
    {"middleware"},
    {"client"},
    {"manager"},
    {"sync"},
    {"cli", "contrib"},
)
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}

INDEPENDENT = {"middleware", "providers", "cli", "contrib"}
"""Packages whose files do not import each other …"""
SHARED = {"providers": {"adapter", "failures", "streams"}, "cli": {"render"}}
"""… except what lies below them in the same package. `__init__` and `registry` bring them together."""
TOGETHER = {"__init__", "registry"}

SIMULATOR_USERS = {"cli"}
SDKS = {"anthropic", "openai", "httpx2"}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Dotted names that a file imports, inside `if TYPE_CHECKING` too; and whether in a function."""
    package = path.relative_to(PACKAGE.parent).parent.parts

    def walk(node: ast.AST, in_function: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, in_function) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                root = package[: len(package) - child.level + 1] if child.level else ()
                origin = ".".join([*root, *([child.module] if child.module else [])])
                yield from ((f"{origin}.{alias.name}", in_function) for alias in child.names)
            else:
                is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                yield from walk(child, in_function or is_function)

    return walk(ast.parse(path.read_text(encoding="utf-8")), False)


def room_of(path: Path) -> str:
    return room_named(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))


def room_named(name: str) -> str:
    """A room may be one file, a folder, or several files: config.py and config_models.py are one."""
    return name if name in ROW else name.split("_")[0] or name


def is_room(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def internal_imports(path: Path) -> Iterator[tuple[str, str]]:
    """Room and module (or "") of everything that a file imports from the package."""
    for name, _ in imports(path):
        first, *rest = name.split(".")
        if first == PACKAGE.name:
            room = room_named(rest[0]) if rest and is_room(rest[0]) else "__init__"
            yield room, rest[1] if len(rest) > 1 else ""


def layer_faults(path: Path) -> list[str]:
    """Imports of a file that do not point down, as `engine/keys.py -> client`."""
    own, place = room_of(path), path.relative_to(PACKAGE)
    if own in ("__init__", "__main__", "simulator"):
        return []
    if own not in ROW:
        return [f"{place}: the room {own!r} has no row in the table"]
    return [
        f"{place} -> {room}"
        for room, _ in internal_imports(path)
        if room != own and not is_below(room, own)
    ]


def is_below(room: str, own: str) -> bool:
    if room == "simulator":
        return own in SIMULATOR_USERS
    return ROW["sync"] < ROW[own] if room == "__init__" else room in ROW and ROW[room] < ROW[own]


def sibling_faults(path: Path) -> list[str]:
    """Imports between files (or folders) of a package that must not know each other."""
    own, place = room_of(path), path.relative_to(PACKAGE)
    if own not in INDEPENDENT or place.parts[1].removesuffix(".py") in TOGETHER:
        return []
    mine = place.parts[1].removesuffix(".py")
    siblings = {file.stem for file in (PACKAGE / own).iterdir()} - SHARED.get(own, set()) - {mine}
    return [
        f"{place} -> {own}/{module}"
        for room, module in internal_imports(path)
        if room == own and module in siblings
    ]


FILES = sorted(PACKAGE.rglob("*.py"))


def test_imports_point_down() -> None:
    """A file imports only from rows below its own, or from its own room."""
    assert [fault for path in FILES for fault in layer_faults(path)] == []


def test_policies_vendors_and_commands_do_not_know_each_other() -> None:
    """Files of middleware/, providers/, cli/ and contrib/ do not import each other."""
    assert [fault for path in FILES for fault in sibling_faults(path)] == []


def test_the_simulator_shares_nothing_with_what_it_judges() -> None:
    """simulator/ imports nothing of llm_fleet but itself."""
    files = [path for path in FILES if room_of(path) == "simulator"]
    strange = [(str(path.relative_to(PACKAGE)), room) for path in files for room, _ in internal_imports(path)]
    assert [(place, room) for place, room in strange if room != "simulator"] == []


def test_sdks_are_imported_only_in_providers_and_only_in_functions() -> None:
    """No vendor SDK is imported outside providers/, and there not before it is needed."""
    found = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in FILES
        for name, in_function in imports(path)
        if name.split(".")[0] in SDKS and not (in_function and room_of(path) == "providers")
    ]
    assert found == []


@pytest.mark.parametrize("name", ["__init__.py", "engine/__init__.py", "store/__init__.py"])
def test_init_only_reexports(name: str) -> None:
    """An `__init__.py` defines no function and no class."""
    tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = [node.name for node in tree.body if isinstance(node, defined)]
    assert [name for name in names if not name.startswith("__")] == []


def test_importing_the_package_imports_no_sdk() -> None:
    """`import llm_fleet` loads no vendor SDK, and starts no thread."""
    code = (
        "import llm_fleet, sys, threading;"
        f"print(sorted({SDKS!r} & set(sys.modules)), threading.active_count())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert ran.stdout == "[] 1\n", ran.stderr


def test_a_wrong_import_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault reads `engine/keys.py -> client`."""
    for file, text in {"engine/keys.py": "from ..client import LLMClient", "client.py": ""}.items():
        path = tmp_path / "llm_fleet" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path / "llm_fleet")
    assert layer_faults(tmp_path / "llm_fleet" / "engine" / "keys.py") == ["engine/keys.py -> client"]

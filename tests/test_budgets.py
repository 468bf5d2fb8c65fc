"""The budgets of STYLE.md §1: where a thing grows past them it is split, not excused."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = sorted([*(ROOT / "llm_fleet").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
SCRIPTS = sorted((ROOT / "lua").glob("*.lua"))
LIBRARY = sorted((ROOT / "lua" / "lib").glob("*.lua"))
ROOMS = sorted((ROOT / "tests" / "lua_redis").glob("*.lua"))

STOP = {"function": 50, "parameters": 5, "class": 200, "file": 300, "test": 30}
STOP |= {"Lua script": 100, "Lua lib": 100, "Lua room": 100}

USER_FACING = {
    "complete", "stream_complete", "stream", "lease", "get_client", "get_or_create_client", "get_llm_manager",
}  # fmt: skip
"""Calls and constructors of the public surface, and commands: their options are their purpose."""
USER_FACING_FILES = {"errors.py", "cli"}

EXCEPTIONS: dict[str, str] = {}
"""At most five: `what: place` of a budget that is passed, and why that is better than splitting."""


@dataclass(frozen=True, slots=True)
class Size:
    """Something that has a budget, and how large it is."""

    what: str
    place: str
    size: int

    @property
    def name(self) -> str:
        return f"{self.what}: {self.place}"

    @property
    def is_over(self) -> bool:
        return self.size > STOP[self.what]

    def __str__(self) -> str:
        return f"{self.name} has {self.size}, the budget is {STOP[self.what]}: split it"


FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def sizes_of_python(path: Path) -> Iterator[Size]:
    text = path.read_text(encoding="utf-8")
    place = path.relative_to(ROOT).as_posix()
    is_test = path in TESTS
    if not is_test:
        yield whole_file("file", path)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            yield Size("class", f"{place} {node.name}", lines_of(node))
        elif isinstance(node, FUNCTION):
            kind = "test" if is_test and node.name.startswith("test_") else "function"
            yield Size(kind, f"{place} {node.name}", lines_of(node))
            if not is_test and not is_user_facing(path, node):
                yield Size("parameters", f"{place} {node.name}", parameters_of(node))


def lines_of(node: ast.ClassDef | FUNCTION) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameters_of(node: FUNCTION) -> int:
    names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    return len([name for name in names if name not in ("self", "cls")])


def is_user_facing(path: Path, node: FUNCTION) -> bool:
    return node.name in USER_FACING or bool(USER_FACING_FILES & set(path.parts))


@cache
def all_sizes() -> list[Size]:
    return [
        *(size for path in [*CODE, *TESTS] for size in sizes_of_python(path)),
        *(whole_file("Lua script", path) for path in SCRIPTS),
        *(whole_file("Lua lib", path) for path in LIBRARY),
        *(whole_file("Lua room", path) for path in ROOMS),
    ]


def whole_file(what: str, path: Path) -> Size:
    return Size(what, path.relative_to(ROOT).as_posix(), len(path.read_text(encoding="utf-8").splitlines()))


def test_nothing_is_over_its_budget() -> None:
    """Functions, parameters, classes, files, scripts and tests keep the budgets of STYLE.md §1."""
    over = [str(size) for size in all_sizes() if size.is_over and size.name not in EXCEPTIONS]
    assert over == [], "\n".join(over)


def test_exceptions_are_few_and_needed() -> None:
    """At most five things are excused, and each of them still is over its budget."""
    over = {size.name for size in all_sizes() if size.is_over}
    assert len(EXCEPTIONS) <= 5
    assert set(EXCEPTIONS) <= over


def test_most_functions_are_small() -> None:
    """The median function has at most 10 lines, and nine in ten have under 30 (aims: 7 and 25)."""
    lines = sorted(size.size for size in all_sizes() if size.what == "function")
    median, ninth = statistics.median(lines), lines[len(lines) * 9 // 10]
    print(f"functions: {len(lines)}, median {median} lines (aim 7), nine in ten under {ninth} (aim 25)")
    assert median <= 10
    assert ninth < 30


def test_every_test_states_its_fact() -> None:
    """Every test has a docstring."""
    silent = [
        f"{path.name} {node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, FUNCTION) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_module_says_what_lives_there() -> None:
    """Every file of the package has a module docstring."""
    files = [path for path in CODE if path.read_text(encoding="utf-8").strip()]
    assert [path.name for path in files if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_no_vague_names() -> None:
    """No file or function is called utils, helpers, common, base, do_, handle_ or process_."""
    vague = ("do_", "handle_", "process_")
    named = {"utils", "helpers", "common", "base"}
    names = [path.stem for path in CODE] + [s.place.split()[1] for s in all_sizes() if s.what == "function"]
    assert [name for name in names if name in named or name.lstrip("_").startswith(vague)] == []

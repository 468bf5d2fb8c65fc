"""The mutation command: it finds every comparison and statement of lua/, and tells what tests notice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lupa import lua51

from llm_fleet.engine.scripts import load_script, lua_folder, script_names
from tests.lua_redis import MiniRedis
from tests.mutation.__main__ import SURVIVORS
from tests.mutation.lua_syntax import statements, tokens
from tests.mutation.mutants import Mutant, join, mutants_of, script_places
from tests.mutation.report import Report, Verdict, read_reasons, write_reasons

ROOT = Path(__file__).parent.parent
TEXTS = script_places(lua_folder())
EXAMPLE = """local a, b = 1 -- if a == b then
if a <= #"x > y" and not (b ~= a) then
    a = f{1, [2] = "three"} ; b()
    return a
end
local function g(...) for i = 1, 2 do break end end
"""


def test_statements_are_told_from_each_other() -> None:
    """Every statement is found with its kind, in comments, strings and tables none."""
    found = [(s.kind, EXAMPLE[s.start : s.stop].split("\n")[0]) for s in statements(EXAMPLE)]
    assert found == [
        ("local", "local a, b = 1"),
        ("if", 'if a <= #"x > y" and not (b ~= a) then'),
        ("assignment", 'a = f{1, [2] = "three"}'),
        ("call", "b()"),
        ("return", "return a"),
        ("function", "local function g(...) for i = 1, 2 do break end end"),
        ("for", "for i = 1, 2 do break end"),
        ("break", "break"),
    ]


def test_mutants_flip_comparisons_and_drop_statements() -> None:
    """Each comparison is flipped, each edge of an order moved, each statement dropped; a local loses its value."""
    found = {(m.kind, m.apply(EXAMPLE)) for m in mutants_of("example", EXAMPLE)}
    for kind, was, text in [
        ("flip", "a <= #", "a > #"), ("edge", "a <= #", "a < #"), ("flip", "b ~= a", "b == a"),
        ("drop", "local a, b = 1", "local a, b    "), ("drop", "b()\n", "   \n"), ("drop", "break", "     "),
    ]:  # fmt: skip
        assert (kind, EXAMPLE.replace(was, text)) in found
    assert len(found) == 2 + 1 + 7


def test_every_mutant_of_lua_compiles() -> None:
    """Whatever is changed in lua/, it is still Lua: no mutant is noticed by its syntax alone."""
    compiles = lua51.LuaRuntime().eval("function(text) return loadstring(text) and true or false end")
    broken = [
        m.name for file, text in TEXTS.items() for m in mutants_of(file, text) if not compiles(m.apply(text))
    ]
    assert broken == []


def test_every_comparison_of_lua_is_flipped() -> None:
    """As many comparisons as the tokens of lua/ have are flipped, and each mutant has a name of its own."""
    found = [m for file, text in TEXTS.items() for m in mutants_of(file, text)]
    comparisons = [
        t for text in TEXTS.values() for t in tokens(text) if t.text in ("==", "~=", "<", "<=", ">", ">=")
    ]
    assert sum(mutant.kind == "flip" for mutant in found) == len(comparisons) > 200
    assert len({mutant.name for mutant in found}) == len(found) > 1_000


@pytest.mark.parametrize("name", script_names())
def test_mutants_are_joined_as_scripts_are(name: str) -> None:
    """The command joins a script's includes to the text that Redis gets, and the mini Redis compiles it."""
    assert join(name, TEXTS) == load_script(name).source
    MiniRedis().script_load(load_script(name).source)


def test_command_tells_what_tests_notice() -> None:
    """Of lib/clock its tests notice every change of meaning, and not the one that changes nothing."""
    command = [
        sys.executable,
        "-m",
        "tests.mutation",
        "--only",
        "lua/lib/clock.lua",
        "--tests",
        "tests/test_lua_clock.py",
    ]
    done = subprocess.run(
        [*command, "--edges", "--json"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, 1), done.stderr
    said = json.loads(done.stdout)
    survivors = {(row["kind"], row["was"]) for row in said["survivors"]}
    assert ("edge", "< in `if now < clock.seen then`") in survivors  # at equality both do the same
    assert said["kinds"]["flip"] == {"mutants": 2, "noticed": 2}
    assert said["noticed"] >= 12
    assert not any("clock.lease =" in was or "now = clock.seen" in was for _, was in survivors)


def test_every_reason_is_of_a_mutant() -> None:
    """Where the code has moved or gone, the list of survivors has too."""
    names = {m.name for file, text in TEXTS.items() for m in mutants_of(file, text)}
    assert [name for name in read_reasons(SURVIVORS) if name not in names] == []


def test_reasons_are_kept_when_survivors_are_written(tmp_path: Path) -> None:
    """A survivor keeps its reason, a new one gets a question mark and makes the report a bad one."""
    path = tmp_path / "survivors.txt"
    write_reasons(path, ["old", "new"], {"old": "It changes\nnothing."})
    path.write_text(path.read_text().replace("nothing.", "   nothing."))
    reasons = read_reasons(path)
    assert reasons == {"old": "It changes nothing.", "new": "?"}
    mutants = [Mutant("a", "drop", 0, 1, " ", 1, 0, name) for name in ("x", "y")]
    reasons = {mutants[0].name: "It changes nothing.", "gone": "It was a reason."}
    report = Report(
        {mutants[0]: Verdict("", 1.0, 2), mutants[1]: Verdict("a test", 1.0, 1)}, reasons, True, 1.0
    )
    assert (report.share, report.unexplained, report.outdated) == (0.5, [], ["gone"])
    assert not report.is_good

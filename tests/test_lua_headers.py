"""The header of a script is its contract (STYLE.md §3): it names every slot, and only those."""

from __future__ import annotations

import re

import pytest

from llm_fleet.engine.scripts import load_script, lua_folder, script_names
from tests.lua_check import faults

SCRIPTS = script_names()
LIBRARY = sorted(path.stem for path in (lua_folder() / "lib").glob("*.lua"))


def header_of(name: str) -> str:
    found = re.match(r"(?:--.*\n)+", (lua_folder() / f"{name}.lua").read_text(encoding="utf-8"))
    assert found, f"{name}.lua has no header"
    return found[0]


@pytest.mark.parametrize("name", SCRIPTS)
def test_slots_named_are_the_slots_read(name) -> None:
    """The joined script reads just the KEYS and ARGV of its header, sets no global and knows every name."""
    assert faults(name, load_script(name).source) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_header_says_purpose_returns_and_invariants(name) -> None:
    """`name: purpose`, the slots, what it returns, and sentences that tests repeat."""
    header = header_of(name)
    assert re.match(rf"-- {name}: \w[^\n]+[.\n]", header)
    for section in ("KEYS[1]", "ARGV", "returns  ", "invariants  "):
        assert f"-- {section}" in header, section


@pytest.mark.parametrize("name", LIBRARY)
def test_library_says_what_lives_there(name) -> None:
    """Every file of lua/lib begins with its name and its purpose."""
    assert re.match(rf"-- lib/{name}: \S", (lua_folder() / "lib" / f"{name}.lua").read_text(encoding="utf-8"))


def test_every_library_is_included_somewhere() -> None:
    """Nothing in lua/lib is dead, and nothing is included that is not there."""
    texts = [path.read_text(encoding="utf-8") for path in lua_folder().rglob("*.lua")]
    include = re.compile(r"^ *--@include lib/(\w+)$", re.MULTILINE)
    included = {found for text in texts for found in include.findall(text)}
    assert included == set(LIBRARY)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_speak_the_plain_dialect(name) -> None:
    """No command that scans, blocks or asks for what only some servers have; four spaces, no tabs."""
    source = load_script(name).source
    assert not re.search(r'redis\.call\("(KEYS|SCAN|EVAL|SCRIPT|BLPOP|FLUSHALL|SELECT)"', source)
    assert not re.search(r'\t|redis\.(pcall\("(?!RPUSH)|setresp|breakpoint|sha1hex)|cmsgpack|bit\.', source)
    assert all(command.isupper() for command in re.findall(r'redis\.call\("(\w+)"', source))


@pytest.mark.parametrize("name", SCRIPTS)
def test_locals_stay_far_from_luas_bound(name) -> None:
    """Lua 5.1 takes 200 locals in a function: twenty more still compile, wherever a script has the most."""
    more = "local " + ", ".join(f"more{i}" for i in range(20)) + "\n"
    assert not [fault for fault in faults(name, more + load_script(name).source) if "compile" in fault]

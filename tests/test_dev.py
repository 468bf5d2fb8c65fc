"""`./dev`: sets up once, says what is missing, passes options on; and the Lua check that it runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lua_check import faults

ROOT = Path(__file__).parent.parent

UV = """#!/bin/sh
echo "$*" >>calls
[ "$1" = pip ] && sleep 0.2
mkdir -p .venv/bin
printf '#!/bin/sh\\n[ "$1" = -c ] || echo "python $*"\\n' >.venv/bin/python
chmod +x .venv/bin/python
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but `dev` and pyproject.toml, and a PATH without Python."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "dirname", "sed", "cat", "cksum", "sleep", "mkdir", "chmod"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    for name in ("dev", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def with_uv(checkout: Path) -> Path:
    """The same with Python and a uv that only notes its calls."""
    (checkout / "bin" / "python3").symlink_to(sys.executable)
    uv = checkout / "bin" / "uv"
    uv.write_text(UV)
    uv.chmod(0o755)
    return checkout


def start(checkout: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["./dev", *arguments],
        cwd=checkout,
        env={"PATH": str(checkout / "bin")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def dev(checkout: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(checkout, *arguments)
    out, errors = process.communicate(timeout=20)
    return process.returncode, out, errors


def calls(checkout: Path) -> int:
    return (checkout / "calls").read_text().count("--editable")


def test_without_a_command_it_lists_them(checkout: Path) -> None:
    """`./dev` prints the commands; one that it does not know is exit code 2."""
    code, out, _ = dev(checkout)
    assert code == 0
    assert all(f"./dev {command}" in out for command in ("demo", "test", "check"))
    assert dev(checkout, "tset")[0] == 2


def test_without_python_it_says_what_to_install(checkout: Path) -> None:
    """No Python 3.11 or newer: one message that names those tried and the way to name another."""
    code, _, errors = dev(checkout, "test")
    assert code == 1
    assert "no Python 3.11 or newer found" in errors
    assert "PYTHON=/path/to/python3.12 ./dev test" in errors


def test_set_up_happens_once_per_pyproject(with_uv: Path) -> None:
    """The second run sets up nothing; a change of pyproject.toml makes it happen again."""
    for _ in range(2):
        assert dev(with_uv, "setup")[0] == 0
    assert calls(with_uv) == 1
    with (with_uv / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert dev(with_uv, "setup")[0] == 0
    assert calls(with_uv) == 2


def test_two_at_once_set_up_once(with_uv: Path) -> None:
    """Two runs that begin together share one set-up, and both go on."""
    together = [start(with_uv, "setup") for _ in range(2)]
    assert [process.wait(timeout=20) for process in together] == [0, 0]
    for process in together:
        process.communicate()
    assert calls(with_uv) == 1


def test_a_failed_set_up_is_told_and_tried_again(with_uv: Path) -> None:
    """When installing fails the command does not run, and the next run tries again."""
    uv = with_uv / "bin" / "uv"
    uv.write_text(UV + "[ \"$1\" = pip ] && exit 1 || true\n")
    code, out, errors = dev(with_uv, "test")
    assert (code, out) == (1, "")
    assert "the set-up failed; the lines above say why" in errors
    uv.write_text(UV)
    assert dev(with_uv, "setup")[0] == 0


def test_options_go_to_pytest(with_uv: Path) -> None:
    """What follows `./dev test` are pytest's options, spaces and all."""
    _, out, errors = dev(with_uv, "test", "-k", "a or b", "--pdb")
    assert re.match(r"python -m pytest -n [234] --dist loadfile ", out), errors
    assert out.endswith(" -k a or b --pdb\n")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("local a = 1\nlevel = a", "sets the global level: make it local"),
        ("return os.time()", "reads the unknown global os"),
        ("return KEYS[1]", "KEYS[1] is used, but not in the header"),
        ("-- KEYS[1]  pool  hash\nreturn 1", "KEYS[1] is in the header, but not used"),
        ("return )", "does not compile"),
    ],
)
def test_the_lua_check_finds(source: str, fault: str) -> None:
    """A stray global, a library beyond the dialect, a slot that header and code disagree on."""
    found = faults("script", source)
    assert len(found) == 1
    assert fault in found[0]


def test_the_lua_check_accepts_the_dialect() -> None:
    """Locals, upvalues, nested functions and the shared libraries are fine."""
    source = "local n = 0\nlocal function add() n = math.floor(n) + 1 end\nadd()\nreturn redis.call('PING')"
    assert faults("script", source) == []

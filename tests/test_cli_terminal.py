"""How commands look on terminals of every width, with and without colours; completion; what a start costs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from llm_fleet.cli.fleet.view import status_view
from tests.commands import command_in_background, run_command
from tests.managers import config_text
from tests.terminals import screen_of

ROOT = Path(__file__).parent.parent
LONG = "the-account-of-a-team-with-a-long-name"


@pytest.fixture
def fleet_of(tmp_path: Path, redis_url: str, namespace: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Registers a pool with this many keys, four to an account; the path of its config."""

    def one(keys: int, account: str = "team") -> str:
        limits = {"requests_per_minute": 50, "input_tokens_per_minute": 50_000, "max_concurrent_requests": 9}
        named = [
            {"key": f"sk-test-not-a-real-key-{n}", "account": f"{account}-{n // 4}"} for n in range(keys)
        ]
        path = tmp_path / "llm.yaml"
        path.write_text(
            config_text(redis_url, namespace, anthropic={"api_keys": named, "rate_limits": [limits]})
        )
        assert run_command(capsys, "config", "apply", str(path)).code == 0
        return str(path)

    return one


def test_a_terminal_gets_colours_unless_it_wants_none(fleet_of, capsys):
    """NO_COLOR takes the colours out; a pipe never gets any."""
    path = fleet_of(4)
    coloured, _ = screen_of("status", "--config", path)
    plain, lines = screen_of("status", "--config", path, env={"NO_COLOR": "1"})
    assert "\x1b[32m" in coloured or "\x1b[1;32m" in coloured
    assert [code for code in ("\x1b[3", "\x1b[1;3", "\x1b[9", "\x1b[4") if code in plain] == []
    assert "ok" in lines
    assert "\x1b" not in run_command(capsys, "status", "--config", path).out


@pytest.mark.parametrize("width", [30, 50, 80, 120])
@pytest.mark.parametrize("account", ["team", LONG])
def test_status_fits_every_width(fleet_of, capsys, width, account):
    """Ids, levels and states are whole at every width, and no line is too long."""
    path = fleet_of(8, account)
    found = json.loads(run_command(capsys, "status", "--config", path, "--json").out)
    sheet = StringIO()
    Console(file=sheet, width=width).print(status_view(found, width=width))
    text, lines = sheet.getvalue(), sheet.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert (text.count("49/49"), text.count("49.6k/49.6k")) == (2, 2)
    assert sum(line.split()[-1:] == ["ok"] for line in lines) == 1 + 8
    assert [key for key in found["pools"]["anthropic"]["keys"] if key not in text] == []


def test_config_check_is_whole_on_a_narrow_terminal(fleet_of):
    """Limits as a list under their sources, where no table has room; nothing is cut off."""
    _, lines = screen_of("config", "check", fleet_of(2, LONG), width=50)
    listed = [line.strip() for line in lines]
    assert listed.count("rate_limits[0]") == 2
    assert listed.count("lane * requests_per_minute 50, burst 60 s") == 2
    assert max(map(len, lines)) <= 50
    assert "source" not in " ".join(lines)


@pytest.mark.parametrize(
    "command", [("config", "check"), ("doctor", "--config"), ("keys", "list", "--config")]
)
def test_other_screens_fit_too(fleet_of, command):
    """No line is longer than a narrow terminal is wide."""
    _, lines = screen_of(*command, fleet_of(2), width=50)
    assert len(lines) > 1
    assert max(map(len, lines)) <= 50


def test_of_many_keys_a_terminal_shows_the_most_urgent(fleet_of, capsys):
    """Those that are out of service and those with the least left; --all and pipes have every key."""
    path = fleet_of(200)
    found = json.loads(run_command(capsys, "status", "--config", path, "--json").out)
    last = sorted(found["pools"]["anthropic"]["keys"])[-1]
    run_command(capsys, "keys", "pause", last, "--config", path)
    _, lines = screen_of("status", "--config", path, width=120)
    shown = [line for line in lines if "team-" in line]
    assert (len(shown), shown[0].split()[0]) == (24, last)
    assert "and 176 keys with more left than these; --all shows them" in lines
    piped = run_command(capsys, "status", "--config", path).out.splitlines()
    assert sum(line.split()[-1:] == ["ok"] for line in piped) == 199


@pytest.mark.parametrize(
    ("words", "expected"),
    [("llm-fleet st", "status"), ("llm-fleet config a", "apply")],
)
def test_a_shell_completes_commands(words, expected):
    """As the function asks that `llm-fleet --show-completion` prints."""
    asked = {
        "_LLM_FLEET_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    out, err = command_in_background(env=asked).communicate(timeout=20)
    assert (out.split(), err) == ([expected], "")


COMPLETE = """
eval "$(llm-fleet --show-completion)"
complete -p llm-fleet
COMP_WORDS=(llm-fleet st) COMP_CWORD=1
_llm_fleet_completion llm-fleet
echo "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_what_show_completion_prints_completes_in_bash():
    """`eval "$(llm-fleet --show-completion)"` in bash: from then on `llm-fleet st` becomes `status`."""
    commands = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": commands},
        timeout=30,
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "complete -o default -F _llm_fleet_completion llm-fleet",
        "status",
    ]


def test_an_output_that_is_closed_early_is_no_fault(fleet_of):
    """`llm-fleet status | head -1` ends without a traceback."""
    command = f"{sys.executable} -c 'from llm_fleet.cli import main; main()' status --config {fleet_of(200)}"
    ran = subprocess.run(f"{command} | head -1", shell=True, capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.startswith("Redis ")
    assert "Traceback" not in ran.stderr


STATUS = """
import sys
from llm_fleet.cli import main
try: main(["status", "--redis", {url!r}])
except SystemExit: pass
"""
IMPORTS = """
import importlib
for name in {modules!r}:
    try: importlib.import_module(name)
    except Exception: pass
"""


def test_status_starts_within_twice_its_imports(redis_url):
    """A whole `status` takes less than twice the CPU of importing what it imports, and imports no SDK."""
    status = STATUS.format(url=redis_url)
    modules = seconds_of(f"{status}\nprint(*sys.modules, file=sys.stderr)")[1].split()
    assert {"anthropic", "openai", "httpx2", "aiohttp"} & set(modules) == set()
    imports = IMPORTS.format(modules=[name for name in modules if name != "__main__"])
    alone = min(seconds_of(imports)[0] for _ in range(2))
    whole = min(seconds_of(status)[0] for _ in range(2))
    assert whole < 2 * alone, f"status {whole:.2f} s, its imports {alone:.2f} s"


def seconds_of(code: str) -> tuple[float, str]:
    """The CPU that a Python program takes, whatever else runs, and what it wrote to stderr."""
    before = os.times()
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    after = os.times()
    taken = after.children_user + after.children_system - before.children_user - before.children_system
    return taken, ran.stderr

"""The door of the house: what the README shows runs, and its table of layers is the one that is held."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from llm_fleet.cli.registry import app
from llm_fleet.config import parse_config
from tests.commands import command_in_background, run_command
from tests.managers import KEYS, provider
from tests.markdown import blocks_of
from tests.test_layers import ROWS
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FIRST_STEPS = next(block for block in blocks_of(README, "python") if block.text.startswith("# ask.py"))
PROGRAMS = [block for block in blocks_of(README, "python") if block != FIRST_STEPS]
(CONFIG,) = (block.text for block in blocks_of(README, "yaml"))
ENVIRONMENT = {"ANTHROPIC_KEY_1": KEYS[0], "ANTHROPIC_KEY_2": KEYS[1]}


def test_the_config_of_the_readme_loads():
    """Its keys share one account, so they share its limits."""
    entry = parse_config(CONFIG, env=ENVIRONMENT).providers["anthropic"]
    assert set(entry.domains().values()) == {"main"}


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.place)
def test_programs_of_the_readme_run(block, simulator, tmp_path, redis_url):
    """Each program, with the README's own config, against a provider that enforces limits."""
    path = tmp_path / "llm.yaml"
    path.write_text(CONFIG)
    sim = simulator(provider(2))
    environment = {
        **ENVIRONMENT,
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "LLM_CONFIG_PATH": str(path),
        "REDIS_URL": redis_url,
        "ANTHROPIC_BASE_URL": sim.url,
    }
    ran = subprocess.run(
        [sys.executable, "-c", block.text], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.split()) >= 20
    assert all(request["status"] == 200 for request in sim.books()["requests"])


def test_the_first_steps_lead_to_two_processes_under_one_limit(tmp_path, redis_url, monkeypatch, capsys):
    """As written: `simulate` writes the config, the script runs twice at once, `status` shows both.

    All calls are answered, those above the limit after a wait. A machine so busy that sends are late by
    more than `jitter_seconds` may draw one 429 or two; without a common limit it would be ten at least.
    """
    path, script = tmp_path / "my.yaml", tmp_path / "ask.py"
    script.write_text(FIRST_STEPS.text)
    options = ["--port", "0", "--rpm", "70", "--latency", "2", "--write", str(path)]
    env = {"REDIS_URL": redis_url, "LLM_CONFIG_PATH": str(path)}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with running_simulator("simulate", "--keys", "1", *options) as books:
        command = [sys.executable, str(script)]
        runs = [subprocess.Popen(command, env=os.environ | env, stdout=subprocess.PIPE) for _ in range(2)]
        assert eventually(lambda: processes_in(status_here(capsys)) == BOTH, within_s=40)
        assert processes_shown(env) == BOTH
        lines = [run.communicate(timeout=60)[0].decode().splitlines() for run in runs]
        assert [(run.returncode, len(out)) for run, out in zip(runs, lines, strict=True)] == [(0, 80)] * 2
        found = books()
    assert {name: one["accepted"] for name, one in found.items()} == {"anthropic-1": 80, "openai-1": 80}
    assert max(one["rejected"] for one in found.values()) <= 2


@contextmanager
def running_simulator(*command):
    """`llm-fleet simulate …`; a function that asks for its books."""
    running = command_in_background(*command)
    url = re.search(r"books at (\S+);", running.stdout.readline())[1]
    for line in iter(running.stdout.readline, "\n"):
        assert line

    def books():
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["accounts"]

    try:
        yield books
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=5)


BOTH = {"anthropic": 2, "openai": 2}


def status_here(capsys):
    """What `llm-fleet status` prints, without a process of its own: that would be in the way of those that start."""
    return run_command(capsys, "status", "--json").out


def processes_shown(env):
    """Pool -> live processes, by `llm-fleet status`."""
    out, err = command_in_background("status", "--json", env=env).communicate(timeout=20)
    assert err == ""
    return processes_in(out)


def processes_in(out):
    """Pool -> live processes, as `llm-fleet status --json` prints them."""
    return {name: len(pool["processes"]) for name, pool in json.loads(out)["pools"].items() if pool}


SEED = (Path(__file__).parent / "seed.md").read_text()


def test_what_the_seed_has_is_mapped():
    """Every command, script, tip and benchmark row of the seed's document stands in the README's table."""
    text = README.read_text()
    scripts = re.findall(r"^(?:python|pip|git) .*$", SEED, re.MULTILINE)
    tips = re.findall(r"^\d\. \*\*([^*]+)\*\*: ", SEED.partition("### Optimization Tips")[2], re.MULTILINE)
    rows = re.findall(r"^- \*\*([^*]+)\*\*: ", SEED.partition("### Benchmarks")[2], re.MULTILINE)
    words = [" ".join(line.split()[:2]) for line in scripts] + rows[:5] + [tip.lower() for tip in tips[:5]]
    words += ["export LLM_CONFIG_PATH", "export LLM_LOG_LEVEL", "hello", "status", "stress <n>", "quit"]
    assert len(words) == 23
    assert [word for word in words if word.lower() not in text.lower()] == []


def test_commands_of_the_readme_are_there():
    """`llm-fleet …` and `./dev …` in blocks and in the text: such commands and subcommands exist."""
    text = README.read_text()
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    names |= {group.name for group in app.registered_groups}
    told = set(re.findall(r"llm-fleet ([a-z]+)", text))
    assert told
    assert told - names == set()
    assert set(re.findall(r"\./dev ([a-z]+)", text)) <= {"demo", "test", "check", "bench", "setup"}


def test_the_layers_of_the_readme_are_those_that_are_held():
    """The table in the README and the one in tests/test_layers.py are the same."""
    rows = re.findall(r"^(\d)  (.+)$", README.read_text(), re.MULTILINE)
    assert {int(number): set(rooms.split()) for number, rooms in rows} == dict(enumerate(ROWS))


def test_files_that_the_readme_names_are_there():
    """Every path and test file that is named exists."""
    named = re.findall(r"`((?:tests|benchmarks|config|lua|llm_fleet|examples)/[\w./*]*)`", README.read_text())
    assert named
    assert [path for path in named if not list(ROOT.glob(path.rstrip("/")))] == []

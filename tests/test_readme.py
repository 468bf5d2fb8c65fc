"""The door of the house: what the README shows runs, and its table of layers is the one that is held."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from llm_fleet.config import parse_config
from tests.managers import KEYS, provider
from tests.markdown import blocks_of
from tests.test_layers import ROWS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
(CONFIG,) = (block.text for block in blocks_of(README, "yaml"))
ENVIRONMENT = {"ANTHROPIC_KEY_1": KEYS[0], "ANTHROPIC_KEY_2": KEYS[1]}


def test_the_config_of_the_readme_loads():
    """Its keys share one account, so they share its limits."""
    entry = parse_config(CONFIG, env=ENVIRONMENT).providers["anthropic"]
    assert set(entry.domains().values()) == {"main"}


@pytest.mark.parametrize("block", blocks_of(README, "python"), ids=lambda block: block.place)
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


def test_the_layers_of_the_readme_are_those_that_are_held():
    """The table in the README and the one in tests/test_layers.py are the same."""
    rows = re.findall(r"^(\d)  (.+)$", README.read_text(), re.MULTILINE)
    assert {int(number): set(rooms.split()) for number, rooms in rows} == dict(enumerate(ROWS))


def test_files_that_the_readme_names_are_there():
    """Every path and test file that is named exists."""
    named = re.findall(r"`((?:tests|benchmarks|config|lua|llm_fleet|examples)/[\w./*]*)`", README.read_text())
    assert named
    assert [path for path in named if not list(ROOT.glob(path.rstrip("/")))] == []

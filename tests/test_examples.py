"""examples/: each runs as its docstring says. Those for workers run in tests/test_contrib_*.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.managers import config_text, entry, provider

ROOT = Path(__file__).parent.parent


def run_script(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "examples.script", *arguments]
    return subprocess.run(
        command, env={**os.environ, **env}, cwd=ROOT, capture_output=True, text=True, timeout=30
    )


def test_the_script_streams_an_answer(simulator, redis_url, namespace, tmp_path):
    """One question on the command line, the answer on stdout."""
    sim = simulator(provider())
    config = tmp_path / "llm.yaml"
    config.write_text(
        config_text(redis_url, namespace, p=entry(sim.url, kind="openai", limits={"requests_per_minute": 60}))
    )
    ran = run_script("Why is the sky blue?", LLM_CONFIG_PATH=str(config))
    assert (len(ran.stdout.split()), ran.stderr, ran.returncode) == (20, "", 0)


def test_the_script_says_what_is_wrong(tmp_path):
    """No config: one line that names it, no traceback."""
    ran = run_script(LLM_CONFIG_PATH=str(tmp_path / "missing.yaml"))
    assert ran.returncode == 1
    assert ran.stderr.startswith("script.py: ")
    assert "missing.yaml" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_every_example_says_how_to_run_it():
    """Each begins with a docstring that holds its command."""
    for path in (ROOT / "examples").glob("*.py"):
        assert f"{path.stem}" in path.read_text().split('"""')[1], path.name

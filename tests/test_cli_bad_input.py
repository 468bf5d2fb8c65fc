"""Bad input of every kind: one clear message on stderr, the right exit code, no traceback, no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import command_in_background, run_command

ROOT = Path(__file__).parent.parent
SECRET = "sk-test-not-a-real-key-1"
GOOD = f"providers:\n  anthropic:\n    api_keys: [{SECRET}]\n"
NOBODY = "redis://:not-a-real-password@127.0.0.1:1/0"

BAD_CONFIGS = {
    "unknown field": (GOOD + "    rate_limit: []\n", ["providers.anthropic.rate_limit", "rate_limits"]),
    "duplicate field": (GOOD + "    models: [a]\n    models: [b]\n", ["providers.anthropic.models", "twice"]),
    "unset variable": (GOOD + "    base_url: ${NOT_SET_ANYWHERE}\n", ["NOT_SET_ANYWHERE", "base_url"]),
    "wrong type": (
        GOOD + "    settings: {max_retries: many}\n",
        ["providers.anthropic.settings.max_retries"],
    ),
    "no mapping": ("- providers\n", ["a list", "providers"]),
    "no YAML": ("providers: [\n", ["not readable as YAML"]),
    "unknown mode": (GOOD + "redis: {on_redis_down: fail}\n", ["on_redis_down", "share", "wait", "open"]),
}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("REDIS_URL", "LLM_CONFIG_PATH", "NOT_SET_ANYWHERE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", [("config", "check"), ("status",), ("keys", "list")])
@pytest.mark.parametrize("fault", BAD_CONFIGS)
def test_a_config_that_cannot_work_ends_with_78_and_its_place(capsys, tmp_path, command, fault):
    """Exit code 78, one message that names file, place and remedy, and no key."""
    text, words = BAD_CONFIGS[fault]
    path = tmp_path / "llm.yaml"
    path.write_text(text)
    ran = run_command(capsys, *command, "--config", str(path))
    assert (ran.code, ran.out) == (78, "")
    assert ran.err.startswith(f"llm-fleet: {path}")
    assert [word for word in words if word not in ran.err] == []
    assert "Traceback" not in ran.err
    assert SECRET not in ran.err


@pytest.mark.parametrize("path", ["nowhere.yaml", "."])
def test_a_config_that_cannot_be_read_ends_with_78(capsys, path):
    """A missing file and a directory are told apart from a bad config, by their path."""
    ran = run_command(capsys, "config", "check", path)
    assert ran.code == 78
    assert ran.err.startswith(f"llm-fleet: {path}: ")


def test_without_config_and_redis_the_ways_out_are_told(capsys):
    """`status` with nothing to look at names --config, LLM_CONFIG_PATH, --redis and REDIS_URL."""
    ran = run_command(capsys, "status")
    assert ran.code == 78
    ways = ("--config", "LLM_CONFIG_PATH", "--redis", "REDIS_URL")
    assert [way for way in ways if way not in ran.err] == []


@pytest.mark.parametrize("command", [("status", "--json"), ("status", "--watch"), ("keys", "list")])
def test_an_unreachable_redis_ends_with_69(capsys, command):
    """Exit code 69 and where it was tried, without the password of the url."""
    ran = run_command(capsys, *command, "--redis", NOBODY)
    assert (ran.code, ran.out) == (69, "")
    assert "127.0.0.1:1" in ran.err
    assert "not-a-real-password" not in ran.err


def test_a_wrong_password_ends_with_69(capsys, server):
    """A refused login says that it is one, and where to correct it."""
    url = f"redis://:not-a-real-password@127.0.0.1:{server.port}/0"
    ran = run_command(capsys, "status", "--redis", url)
    assert ran.code == 69
    assert "password" in ran.err
    assert "REDIS_URL" in ran.err
    assert "not-a-real-password" not in ran.err


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nonsense", "redis://host:port/0"])
def test_a_url_that_means_nothing_ends_with_78(capsys, url):
    """The message lists the forms of url that are known."""
    ran = run_command(capsys, "status", "--redis", url)
    assert ran.code == 78
    assert "redis://host:port/db" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["status", "--no-such-option"],
        ["status", "--watch", "--interval", "soon"],
        ["demo", "--seconds", "0"],
        ["simulate", "--rpm", "0"],
        ["simulate", "--rpm", "99999999999999999999"],
        ["simulate", "--host", ""],
        ["status", "--config", str(ROOT / "config" / "llm.yaml"), "--redis", "", "--pool", "antropic"],
        ["keys", "pause", SECRET, "--redis", NOBODY],
    ],
)
def test_wrong_usage_ends_with_2(capsys, arguments):
    """Exit code 2 for what the command line itself gets wrong; a key given for a key id is not echoed."""
    ran = run_command(capsys, *arguments)
    assert ran.code == 2
    assert "Error" in ran.err
    assert SECRET not in ran.err


@pytest.mark.parametrize("text", ["accounts: {}\n", "- nothing\n", "accounts: [\n", "acounts: {}\n"])
def test_a_bad_simulator_config_ends_with_78(capsys, tmp_path, text):
    """`simulate --config` names what is wrong with the simulator's own file."""
    path = tmp_path / "simulator.yaml"
    path.write_text(text)
    ran = run_command(capsys, "simulate", "--config", str(path), "--port", "0")
    assert ran.code == 78
    assert "Traceback" not in ran.err


def test_a_demo_on_a_redis_that_is_away_ends_with_69(capsys, monkeypatch):
    """REDIS_URL is meant: the demo does not fall back to a private server."""
    monkeypatch.setenv("REDIS_URL", NOBODY)
    ran = run_command(capsys, "demo", "--json")
    assert (ran.code, ran.out) == (69, "")


def test_an_output_that_can_only_show_ascii_is_no_fault(redis_url):
    """Where the encoding has no bars and dots, others stand for them."""
    command = command_in_background("status", "--redis", redis_url, env={"PYTHONIOENCODING": "ascii"})
    out, err = command.communicate(timeout=20)
    assert (command.returncode, err) == (0, "")
    assert out.startswith("Redis redis://127.0.0.1:")

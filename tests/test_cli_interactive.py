"""`llm-fleet interactive`: the seed's commands, a conversation, and errors of one line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from llm_fleet.cli.render import printable
from tests.commands import Ran, run_command
from tests.managers import config_text, entry, provider
from tests.terminals import Terminal

LIMITS = {"requests_per_minute": 600, "output_tokens_per_minute": 60_000}


@pytest.fixture
def sim(simulator) -> Any:
    return simulator(provider(2, limits=LIMITS))


@pytest.fixture
def say(capsys, monkeypatch, tmp_path, sim, redis_url, namespace) -> Any:
    """Runs `interactive` with these lines on stdin, over a simulated provider with two keys."""

    def run(*lines: str, options: tuple[str, ...] = (), **fields: Any) -> Ran:
        path = tmp_path / "llm.yaml"
        path.write_text(
            config_text(redis_url, namespace, anthropic=entry(sim.url, 2, limits=LIMITS, **fields))
        )
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return run_command(capsys, "interactive", "--config", str(path), *options)

    return run


def test_hello_sends_a_test_message(say, sim):
    """The answer, then in one line model, key id, tokens and times; never the key."""
    ran = say("hello")
    answer, facts = ran.out.splitlines()
    assert (ran.code, ran.err, len(answer.split())) == (0, "", 20)
    words = ["claude-haiku-5-5", "key ", "tokens in, 20 out", "in the queue"]
    assert [word for word in words if word not in facts] == []
    assert len(sim.books()["requests"]) == 1
    assert "sk-test" not in ran.out


def test_status_shows_clients_and_levels(say):
    """SDK clients of this process, the fleet in a line, and each key with its limits."""
    ran = say("hello", "status")
    assert "SDK clients: 1 total, 1 available, 0 in use" in ran.out
    assert "fleet · 1 process, " in ran.out
    assert ran.out.count("requests_per_minute") == 2
    assert ran.out.count(" ok ") == 2


def test_status_before_any_call_is_no_fault(say):
    """A process that has not called yet knows its keys, and nothing of levels."""
    ran = say("status")
    assert (ran.code, ran.err) == (0, "")
    assert "SDK clients: 0 total" in ran.out


def test_stress_sends_that_many_at_once(say, sim):
    """`stress 30`: all are answered within the limits, and a summary says how."""
    ran = say("stress 30")
    assert ran.code == 0
    assert "30 calls in " in ran.out
    assert "30 answered, 0 failed, 0 tried again" in ran.out
    assert [account["accepted"] for account in sim.books()["accounts"].values()] == [15, 15]


def test_stress_tells_each_kind_of_failure_once(say):
    """What did not pass the limits in time is counted, with one message."""
    ran = say("stress 9", settings={"queue_timeout": 0.1}, rate_limits=[{"requests_per_minute": 2}])
    assert ran.out.count("Rate limit exceeded") == 1
    assert " QueueTimeout: Rate limit exceeded" in ran.out


def test_a_number_that_is_none_is_told_in_a_line(say, sim):
    """Nothing is sent, nothing fails."""
    lines = ("stress", "stress 0", "stress x", "stress -1", "stress 10001", "stress 1 2", "stress ²")
    ran = say(*lines)
    assert (ran.code, ran.out, ran.err) == (0, "stress <n>: n is 1 to 10000\n" * len(lines), "")
    assert sim.books()["requests"] == []


def test_anything_else_chats_streamed_with_all_that_was_said(say, sim):
    """Each turn is a stream, and carries the turns before it."""
    ran = say("Tell me of ships.", "", "And of harbours?")
    first, second = sim.books()["requests"]
    assert (first["stream"], second["stream"], ran.code) == (True, True, 0)
    assert second["input_tokens"] > first["input_tokens"] + 20
    assert [len(line.split()) for line in ran.out.splitlines()] == [20, 20]


@pytest.mark.parametrize("word", ["quit", "exit", "  quit  "])
def test_quit_ends_it(say, sim, word):
    """What comes after `quit` is not read."""
    assert say(word, "hello").code == 0
    assert sim.books()["requests"] == []


def test_help_names_the_commands(say):
    """The seed's four commands are there."""
    ran = say("help")
    assert [word for word in ("hello", "status", "stress <n>", "quit") if word not in ran.out] == []


def test_an_error_is_one_line_and_the_talk_goes_on(say, sim):
    """A refused turn does not become part of the conversation; from a pipe the exit code tells of it."""
    sim.set_faults([{"kind": "status", "status": 400, "times": 1, "message": "first\nsecond"}])
    ran = say("Hello there", "Hello again")
    assert ran.code == 1
    assert (ran.err.count("\n"), ran.err[:7], "Traceback" in ran.err) == (1, "error: ", False)
    refused, answered = sim.books()["requests"]
    assert (refused["status"], answered["status"]) == (400, 200)
    assert answered["input_tokens"] < 10


def test_options_reach_every_call(say, sim):
    """--model, --system and --max-tokens hold for chat and commands."""
    options = ("--model", "claude-opus-5", "--system", "Be brief.", "--max-tokens", "7")
    ran = say("hello", options=options)
    assert (sim.books()["requests"][0]["model"], sim.books()["requests"][0]["output_tokens"]) == (
        options[1],
        7,
    )
    assert "claude-opus-5" in ran.out


def test_what_could_command_a_terminal_is_not_printed():
    """An answer's control characters are shown as `?`; text, tabs and line breaks stay."""
    assert printable("a\x1b[2Jb\x9b0mc\x07\td\né") == "a?[2Jb?0mc?\td\né"


@pytest.mark.parametrize("options", [("--provider", "nobody"), ("--config", "nowhere.yaml")])
def test_a_config_that_does_not_fit_ends_with_78(say, options):
    """One message, before any prompt."""
    ran = say("hello", options=options)
    assert (ran.code, ran.out) == (78, "")
    assert "Traceback" not in ran.err


def test_log_lines_are_shown_only_on_request(say, caplog):
    """The log is quiet unless --verbose; a doubtful config is logged there."""
    placeholder = {"api_keys": ["your-api-key"]}
    assert say("status", **placeholder).err == ""
    assert "placeholder" in say("status", options=("--verbose",), **placeholder).err


def test_ctrl_c_stops_the_answer_and_not_the_prompt(tmp_path: Path, sim, redis_url, namespace):
    """Ctrl-C in an answer gives back what it held; the next line is answered; Ctrl-D leaves."""
    path = tmp_path / "llm.yaml"
    path.write_text(config_text(redis_url, namespace, anthropic=entry(sim.url, 2, limits=LIMITS)))
    sim.set_faults([{"kind": "stall", "times": 1, "after_chunks": 1}])
    with Terminal("interactive", "--config", str(path)) as terminal:
        terminal.prompts()
        terminal.type("Tell me a story\n")
        terminal.until("the fleet waits")
        terminal.type("\x03")
        terminal.until("stopped; what it held was given back")
        terminal.type("hello\n")
        terminal.until("in the queue")
        terminal.prompts()
        terminal.type("\x04")
        assert terminal.ends() == 0

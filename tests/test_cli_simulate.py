"""`llm-fleet simulate`: a provider in the foreground, and the config that uses it."""

from __future__ import annotations

import json
import signal
import urllib.request

from llm_fleet.config import parse_config
from tests.commands import command_in_background


def test_it_prints_a_config_that_works_and_serves_until_interrupted():
    """The snippet is a whole config whose base_url answers; Ctrl-C ends the provider quietly."""
    running = command_in_background("simulate", "--port", "0", "--keys", "3", "--rpm", "20")
    assert running.stdout
    text = ""
    for line in running.stdout:
        if line == "\n":
            break
        text += line
    provider = parse_config(text).providers["anthropic"]
    with urllib.request.urlopen(f"{provider.base_url}/_books", timeout=5) as answer:
        books = json.load(answer)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=5)
    assert (
        [key.account for key in provider.api_keys]
        == list(books["accounts"])
        == [f"account-{n}" for n in (1, 2, 3)]
    )
    assert {account.rate_limits[0].requests_per_minute for account in provider.accounts.values()} == {20}
    assert (running.returncode, err) == (0, "")

"""What cannot work is told in one message: file, place and remedy, and never a secret."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llm_fleet.config import ApiKey, RateLimitConfig, load_config, parse_config
from llm_fleet.errors import ConfigError
from llm_fleet.models import key_id

KEY = "sk-test-not-a-real-key-1"
PASSWORD = "made-up-password"

PROVIDER = f"providers: {{anthropic: {{api_keys: [{KEY}], %s}}}}"
LIMITS = PROVIDER % "rate_limits: [{%s}]"


def told(text: str, **env: str) -> str:
    """The message of the error that `text` draws."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="llm.yaml", env=env)
    assert caught.value.__cause__ is None
    return str(caught.value)


ONE_FAULT = {
    LIMITS % "request_per_minute: 5": "llm.yaml: providers.anthropic.rate_limits[0].request_per_minute:"
    " unknown field; did you mean requests_per_minute?",
    PROVIDER % "settings: {timeot: 5}": "llm.yaml: providers.anthropic.settings.timeot: unknown field;"
    " did you mean timeout?",
    "provider: {}": "llm.yaml: provider: unknown field; did you mean providers?",
    PROVIDER
    % "name: other": "llm.yaml: providers: `name` is 'anthropic' by its place already; drop the field",
    LIMITS % "requests_per_minute: many": "llm.yaml: providers.anthropic.rate_limits[0].requests_per_minute:"
    " must be a valid integer, unable to parse string as an integer",
    LIMITS % "requests_per_minute: true": "llm.yaml: providers.anthropic.rate_limits[0].requests_per_minute:"
    " must be a number, not true or false",
    LIMITS % "requests_per_minute: 0": "llm.yaml: providers.anthropic.rate_limits[0].requests_per_minute:"
    " must be greater than or equal to 1",
    PROVIDER % "rate_limits: {requests_per_minute: 5}": "llm.yaml: providers.anthropic.rate_limits:"
    " must be a list (`- …` lines)",
    PROVIDER % "models: [1]": "llm.yaml: providers.anthropic.models[0]: must be text; put it in quotes",
    PROVIDER % "rate_limits: [{}]": "llm.yaml: providers.anthropic.rate_limits[0]: sets no limit;"
    " write one (requests_per_minute: …) or drop the entry",
    LIMITS % "requests_per_minute: 5, burst_seconds: {request: 1}": "llm.yaml: providers.anthropic"
    ".rate_limits[0].burst_seconds.request: must be 'requests', 'input_tokens', 'output_tokens' or 'tokens'",
    LIMITS % "requests_per_minute: 5, burst_seconds: long": "llm.yaml: providers.anthropic.rate_limits[0]"
    ".burst_seconds: must be a valid number, unable to parse string as a number",
    LIMITS % "requests_per_minute: 5, window_seconds: 10": "llm.yaml: providers.anthropic.rate_limits[0]:"
    " window_seconds needs `enforced_as: window` beside it",
    PROVIDER % "charge: {tokens: as_produced}": "llm.yaml: providers.anthropic.charge:"
    " tokens cannot be charged as_produced; only output_tokens are produced",
    PROVIDER % "base_url: api.example.com": "llm.yaml: providers.anthropic.base_url:"
    " must begin with http:// or https://",
    "providers: {groq: {api_keys: [a]}}": "llm.yaml: providers.groq: kind is missing;"
    " write what it speaks, `kind: openai` or `kind: anthropic`",
    "providers: {openai: {}}": "llm.yaml: providers.openai.api_keys: is missing; write it",
    "providers: {openai: {api_keys: []}}": "llm.yaml: providers.openai.api_keys:"
    " must have at least one entry",
    "providers: {openai: 3}": "llm.yaml: providers.openai: must be a mapping (`field: value` lines)",
    "providers: [openai]": "llm.yaml: providers: must be a mapping (`name: …` lines)",
    "providers: {'a:b': {}}": "llm.yaml: providers:"
    " the name of a provider must not contain braces, ':' or spaces",
    (PROVIDER % "") + "\nglobal: {default_provider: antropic}": "llm.yaml: global.default_provider names no"
    " provider; did you mean anthropic?",
    (PROVIDER % "") + "\nredis: {on_redis_down: fail}": "llm.yaml: redis.on_redis_down:"
    " must be 'share', 'wait' or 'open'",
    (PROVIDER % "")
    + "\npool: {min_size: 5, max_size: 2}": "llm.yaml: pool: min_size (5) is above max_size (2)",
    "": "llm.yaml: empty; it needs at least `providers:` with one provider in it",
    "# only a comment": "llm.yaml: empty; it needs at least `providers:` with one provider in it",
    "- a": "llm.yaml: holds a list, not a mapping; it must begin with `providers:`",
    "hello": "llm.yaml: holds a single value, not a mapping; it must begin with `providers:`",
    "pool: {a: 1\nb: 2": "llm.yaml:2:2: not readable as YAML: expected ',' or '}', but got ':'"
    " (while parsing a flow mapping)",
    "pool: 1\nredis: 2\npool: 3": "llm.yaml:3: pool: written twice (first on line 1); keep one of them",
    "pool: &it [*it]": "llm.yaml:1:7: not readable as YAML: an alias refers to itself",
    "pool: 2024-99-99": "llm.yaml: a date or number cannot be read; put it in quotes",
    "providers: {openai: {api_keys: [a, '${KEY_2}']}}": "llm.yaml: providers.openai.api_keys[1]: the variable"
    " KEY_2 is not set in the environment; export it, or write a default: ${KEY_2:-…}",
    "providers: {openai: {api_keys: ['${2']}}": "llm.yaml: providers.openai.api_keys[0]: `${` begins no"
    " variable; write ${NAME}, or $${ for these characters",
}


@pytest.mark.parametrize(("text", "message"), ONE_FAULT.items(), ids=[str(n) for n in range(len(ONE_FAULT))])
def test_one_clear_message(text: str, message: str) -> None:
    """Each fault has one message with the file, the YAML path and what to do."""
    assert told(text) == message


def test_every_fault_is_told_at_once() -> None:
    """Several faults are several lines, in the order of the file."""
    lines = told(LIMITS % "requests_per_minute: x, enforced_as: y").splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "providers.anthropic.rate_limits[0].requests_per_minute",
        "providers.anthropic.rate_limits[0].enforced_as",
    ]


def test_a_duplicate_deep_inside_is_found() -> None:
    """The second of two equal fields is named by line and path, also in a list."""
    text = "providers:\n  openai:\n    rate_limits:\n    - tokens_per_day: 1\n      tokens_per_day: 2\n"
    assert told(text).startswith("llm.yaml:5: providers.openai.rate_limits[0].tokens_per_day: written twice")


def test_merging_with_an_anchor_is_no_duplicate() -> None:
    """A field that overrides one from `<<` is not written twice."""
    text = (
        f"providers: {{openai: {{api_keys: [{KEY}], rate_limits:"
        " [&it {models: [a], requests_per_minute: 1}, {<<: *it, models: [b]}]}}"
    )
    limits = parse_config(text, env={}).providers["openai"].rate_limits
    assert [(entry.lane, entry.requests_per_minute) for entry in limits] == [("a", 1), ("b", 1)]


def test_an_alias_bomb_ends() -> None:
    """Aliases that multiply are refused before they are expanded."""
    letters = "abcdefghi"
    lines = [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in pairwise(letters)]
    assert "do its aliases multiply?" in told("a: &a [x]\n" + "\n".join(lines))


def test_endless_nesting_ends() -> None:
    """A text of brackets is an error like any other."""
    assert told("[" * 20_000) == "llm.yaml: nested too deeply; a config needs six levels at most"


def test_a_fault_in_the_environment_names_its_variable() -> None:
    """What came from a variable is called by the variable, not by the file."""
    message = told(PROVIDER % "", LLM_LOG_LEVEL="loud", REDIS_URL=f"http://:{PASSWORD}@host")
    first, second = message.splitlines()
    assert first == "LLM_LOG_LEVEL: must be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"
    assert second.startswith(
        "REDIS_URL: must be `embedded` or begin with one of redis://, rediss://, unix://"
    )


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and another encoding are config errors that name the path."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, what in (
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "cannot be read"),
        (binary, "UTF-8"),
    ):
        with pytest.raises(ConfigError, match=what) as caught:
            load_config(path, env={})
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "places",
    [
        f"openai: {{api_keys: [{KEY}, {KEY}]}}",
        f"openai: {{api_keys: [{KEY}]}}, anthropic: {{api_keys: [{KEY}]}}",
    ],
)
def test_the_same_key_twice_is_refused(places: str) -> None:
    """In one entry or in two, the error names both places and the key id only."""
    message = told(f"providers: {{{places}}}")
    assert f"is the same key as providers.openai.api_keys[0] (key id {key_id(KEY)})" in message
    assert KEY not in message


SECRET = "sk-test-not-a-real-key-9"

SPILLING = {
    "a key in the place of a field": f"providers: {{openai: {{api_keys: [{{{SECRET}: main}}]}}}}",
    "keys as a mapping": f"providers: {{openai: {{api_keys: {{{SECRET}: main}}}}}}",
    "keys as one text": f"providers: {{openai: {{api_keys: {SECRET}}}}}",
    "a key with a line end": f'providers: {{openai: {{api_keys: ["{SECRET}\\n{SECRET}"]}}}}',
    "a nested list": f"providers: {{openai: {{api_keys: [[{SECRET}]]}}}}",
    "an unknown field beside": f"providers: {{openai: {{api_keys: [{{key: {SECRET}, acount: x}}]}}}}",
    "a bad account": f"providers: {{openai: {{api_keys: [{{key: {SECRET}, account: 'a|b'}}]}}}}",
    "a duplicate field": f"providers: {{openai: {{api_keys: [{{{SECRET}: 1, {SECRET}: 2}}]}}}}",
    "a syntax error": f'providers: {{openai: {{api_keys: ["{SECRET}}}}}',
    "a tag": f"providers: {{openai: {{api_keys: [!{SECRET} x]}}}}",
    "an alias": f"providers: {{openai: {{api_keys: [*{SECRET}]}}}}",
    "an unset variable beside": f"providers: {{openai: {{api_keys: ['{SECRET}${{NOPE}}']}}}}",
    "an unset variable below": f"providers: {{openai: {{api_keys: [{{{SECRET}: '${{NOPE}}'}}]}}}}",
    "a key as provider": f"providers: {{{SECRET}: {{api_keys: 3}}}}",
    "a password in base_url": f"providers: {{openai: {{api_keys: [a], base_url: 'http://u:{SECRET}@x/'}}}}",
    "a password in a wrong url": "providers: {openai: {api_keys: [a]}}\n"
    f"redis: {{url: 'redis//:{SECRET}@x'}}",
}


@pytest.mark.parametrize("text", SPILLING.values(), ids=SPILLING)
def test_no_error_shows_a_secret(text: str) -> None:
    """Whatever is wrong about or near a key, the message does not repeat it."""
    assert SECRET not in told(text)


def test_no_validation_error_shows_a_secret() -> None:
    """Also pydantic's own errors, when a model is made in code, hide what they were given."""
    with pytest.raises(ValidationError) as caught:
        ApiKey(key=f"{SECRET}\x00")  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_limits_in_code_are_checked() -> None:
    """RateLimitConfig refuses fields that it does not have and amounts below one."""
    with pytest.raises(ValidationError, match="did you mean requests_per_minute"):
        RateLimitConfig(request_per_minute=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        RateLimitConfig(requests_per_minute=0)


@given(st.text(alphabet=st.sampled_from("ab:-[]{}#&*!|>'\"%@`, \n\t${}<1?~"), max_size=60))
def test_any_text_loads_or_is_a_config_error(text: str) -> None:
    """Nothing but ConfigError comes out, whatever goes in."""
    with suppress(ConfigError):
        parse_config(text, env={})

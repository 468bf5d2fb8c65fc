"""The config as its authors write it: what loads, what the environment adds, what is warned about."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_fleet.config import FleetConfig, RateLimitConfig, load_config, name_problem, parse_config
from llm_fleet.models import key_id

KEY = "sk-test-not-a-real-key-1"
OTHER_KEY = "sk-test-not-a-real-key-2"

FIRST = """
global:
  default_provider: anthropic
  enable_logging: true
  log_level: INFO
  metrics_enabled: true

providers:
  anthropic:
    api_keys:
      - your-api-key-1
      - your-api-key-2
    models:
      - claude-3-5-haiku-20241022
    rate_limits:
      - requests_per_minute: 12
        input_tokens_per_minute: 5000
        output_tokens_per_minute: 2000
    settings:
      temperature: 0.7
      max_tokens: 4096
      timeout: 30
      max_retries: 3

pool:
  min_size: 1
  max_size: 4
  acquire_timeout: 30.0
  idle_timeout: 3600.0
  max_lifetime: 7200.0
"""
"""The file with which the project began; it must load for ever."""


def config_with(provider: str = "", more: str = "", **env: str) -> FleetConfig:
    text = f"providers: {{anthropic: {{api_keys: [{KEY}], {provider}}}}}\n{more}"
    return parse_config(text, env=env)


def test_the_first_config_loads_as_it_stands() -> None:
    """The project's first file needs no change, placeholder keys included."""
    config = parse_config(FIRST, env={})
    provider = config.providers["anthropic"]
    assert (provider.name, provider.kind, len(provider.api_keys)) == ("anthropic", "anthropic", 2)
    assert provider.default_model == "claude-3-5-haiku-20241022"
    assert (provider.settings.timeout, config.pool.max_size) == (30.0, 4)
    assert config.global_.default_provider == config.default_provider == "anthropic"


def test_placeholder_keys_are_warned_about() -> None:
    """Keys such as `your-api-key-1` are named by their place, not refused."""
    warnings = parse_config(FIRST, env={}).warnings()
    assert [text for text in warnings if "placeholder" in text] == [
        "providers.anthropic.api_keys[0] looks like a placeholder; put the real key in, best as ${NAME}",
        "providers.anthropic.api_keys[1] looks like a placeholder; put the real key in, best as ${NAME}",
    ]


@pytest.mark.parametrize(
    "placeholder",
    ["your-api-key", "<your key>", "changeme", "CHANGE_ME", "xxx", "sk-xxxx", "api_key", "sk-..."],
)
def test_what_looks_like_a_placeholder(placeholder: str) -> None:
    """The usual stand-ins for a key are recognised."""
    config = parse_config(f'providers: {{openai: {{api_keys: ["{placeholder}"]}}}}', env={})
    assert any("placeholder" in text for text in config.warnings())


def test_the_annotated_example_loads() -> None:
    """config/llm.yaml loads without any variable set, and its only doubts are its examples."""
    config = load_config(Path(__file__).parent.parent / "config" / "llm.yaml", env={})
    assert [text for text in config.warnings() if "placeholder" not in text] == []


def test_the_annotated_example_shows_the_defaults() -> None:
    """Where config/llm.yaml does not say otherwise, its values are the defaults."""
    written = load_config(Path(__file__).parent.parent / "config" / "llm.yaml", env={})
    silent = config_with()
    assert (written.pool, written.redis) == (silent.pool, silent.redis)
    assert written.providers["anthropic"].settings == silent.providers["anthropic"].settings
    assert written.global_.model_dump() == silent.global_.model_dump() | {"default_provider": "anthropic"}


def test_the_path_comes_from_the_environment(tmp_path: Path) -> None:
    """Without a path LLM_CONFIG_PATH is read."""
    file = tmp_path / "other.yaml"
    file.write_text(FIRST)
    assert load_config(env={"LLM_CONFIG_PATH": str(file)}).pool.max_size == 4


def test_the_usual_path_is_config_llm_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path and a variable it is config/llm.yaml of the working directory."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "llm.yaml").write_text(FIRST)
    monkeypatch.chdir(tmp_path)
    assert load_config(env={}).pool.max_size == 4


def test_the_log_level_of_the_environment_wins() -> None:
    """LLM_LOG_LEVEL wins over `log_level`, in any case of letters."""
    assert config_with(more="global: {log_level: ERROR}", LLM_LOG_LEVEL="debug").global_.log_level == "DEBUG"
    assert config_with(more="global: {log_level: ERROR}").global_.log_level == "ERROR"


def test_redis_url_is_the_fallback() -> None:
    """REDIS_URL counts only where the file has no url."""
    env = {"REDIS_URL": "redis://from-env:1"}
    for written, expected in (
        ("", "redis://from-env:1"),
        ("url: 'redis://from-file:1'", "redis://from-file:1"),
    ):
        url = config_with(more=f"redis: {{{written}}}", **env).redis.url
        assert url is not None
        assert url.get_secret_value() == expected
    assert config_with().redis.url is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://:pw@host:6379/1",
        "rediss://host",
        "unix:///run/redis.sock?db=2",
        "redis+sentinel://a:26379,b:26379/service/0",
        "rediss+cluster://a:6379,b:6379",
        "embedded",
    ],
)
def test_forms_of_a_redis_url(url: str) -> None:
    """Every documented form is taken."""
    assert config_with(more=f"redis: {{url: '{url}'}}").redis.url is not None


def test_variables_are_expanded_in_values() -> None:
    """`${NAME}` works anywhere in a value, also where a number is wanted."""
    config = parse_config(
        "providers: {openai: {api_keys: ['${K}'], base_url: 'http://${H:-localhost}:1/v1',"
        " rate_limits: [{requests_per_minute: '${RPM:-7}'}]}}",
        env={"K": KEY, "H": ""},
    )
    provider = config.providers["openai"]
    assert provider.api_keys[0].key_id == key_id(KEY)
    assert provider.base_url == "http://localhost:1/v1"
    assert provider.rate_limits[0].requests_per_minute == 7


def test_what_a_variable_holds_is_no_yaml() -> None:
    """A value from the environment cannot add fields, and is not expanded again."""
    value = "a, b: ${OTHER}"
    config = parse_config("providers: {openai: {api_keys: ['${K}']}}", env={"K": value, "OTHER": "no"})
    assert config.providers["openai"].api_keys[0].key.get_secret_value() == value


def test_a_doubled_dollar_is_literal() -> None:
    """`$${` stands for `${`, and no variable is looked for."""
    config = config_with("models: ['$${NAME}']")
    assert config.providers["anthropic"].models == ["${NAME}"]


def test_an_empty_field_counts_as_not_written() -> None:
    """`pool:` with nothing behind it, or an empty text, leaves the default."""
    config = parse_config(
        f"pool:\nredis: {{url: ''}}\nproviders: {{openai: {{api_keys: [{KEY}], rate_limits: }}}}"
    )
    assert (config.pool.acquire_timeout, config.providers["openai"].rate_limits) == (30.0, [])


def test_the_kind_is_the_name_unless_written() -> None:
    """Other names are possible with a `kind`."""
    text = f"providers: {{groq: {{kind: openai, api_keys: [{KEY}]}}, openai: {{api_keys: [{OTHER_KEY}]}}}}"
    config = parse_config(text, env={})
    assert {name: provider.kind for name, provider in config.providers.items()} == {
        "groq": "openai",
        "openai": "openai",
    }
    assert config.default_provider == "groq"


def test_keys_with_an_account_share_a_domain() -> None:
    """`{key, account}` puts a key under its account; a bare key is its own domain."""
    text = f"providers: {{openai: {{api_keys: [{{key: {KEY}, account: team}}, '  {OTHER_KEY}\\n']}}}}"
    provider = parse_config(text.replace("'  ", '"  ').replace("\\n'", '\\n"'), env={}).providers["openai"]
    assert provider.domains() == {key_id(KEY): "team", key_id(OTHER_KEY): key_id(OTHER_KEY)}


def test_limits_can_be_made_in_code() -> None:
    """RateLimitConfig is for users, too."""
    limits = RateLimitConfig(
        requests_per_minute=20,
        input_tokens_per_minute=10000,
        output_tokens_per_minute=5000,
        max_concurrent_requests=5,
    )
    assert limits.amounts() == {
        ("requests", 60): 20,
        ("input_tokens", 60): 10000,
        ("output_tokens", 60): 5000,
    }


def test_no_secret_in_any_repr() -> None:
    """Neither keys nor the password of the url show in repr, str or a dump as JSON."""
    config = config_with(more="redis: {url: 'redis://:made-up-password@host'}")
    shown = f"{config!r} {config} {config.model_dump_json()} {config.providers['anthropic'].api_keys!r}"
    assert KEY not in shown
    assert "made-up-password" not in shown
    assert key_id(KEY) in repr(config)


def test_names_that_can_be_keys_of_redis_and_limits() -> None:
    """Names hold no separators of ours, no control characters, and are not endless."""
    assert [name_problem(name) for name in ("a", "team a/b:c", "größe", "x" * 128)] == [None] * 4
    assert all(name_problem(name) for name in ("", "a|b", "a\nb", 'a"b', "a\\b", "x" * 129))


def test_the_schema_knows_short_forms() -> None:
    """The JSON schema allows a bare key and one number for burst_seconds, and no field `name`."""
    schema = FleetConfig.model_json_schema()
    provider = schema["$defs"]["ProviderConfig"]
    assert {"type": "string"} in provider["properties"]["api_keys"]["items"]["anyOf"]
    assert "name" not in provider["properties"]
    assert provider["required"] == ["api_keys"]
    assert schema["additionalProperties"] is False

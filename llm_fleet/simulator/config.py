"""What a simulated provider can be told, as pydantic models; refuses what it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from .chance import Spread

__all__ = [
    "AccountConfig",
    "Fault",
    "SimulatorConfig",
    "SimulatorConfigError",
    "SimulatorError",
    "parse_config",
    "parse_faults",
]

Count = Annotated[int, Field(ge=1, strict=True)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SpreadField = Annotated[Spread, BeforeValidator(Spread.parse)]
BurstSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SimulatorError(RuntimeError):
    """The simulator cannot run, or does not answer."""


class SimulatorConfigError(ValueError):
    """The simulator's config cannot work; the message names the field. Never holds a key."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, value: Any) -> Any:
        if isinstance(value, dict):
            unknown = [name for name in value if name not in cls.model_fields]
            if unknown:
                raise ValueError(f"unknown field {unknown[0]!r}; known are {', '.join(cls.model_fields)}")
        return value


class AccountConfig(_Strict):
    """One account: its keys, and limits that they share. A limit left out does not exist.

    `burst_seconds`: a bucket holds what flows in during that time (per minute limits; a mapping
    sets it per resource). `enforced_as: window`: fixed windows of `window_seconds` instead.
    """

    keys: list[str] = Field(min_length=1)
    requests_per_minute: Count | None = None
    input_tokens_per_minute: Count | None = None
    output_tokens_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    requests_per_day: Count | None = None
    tokens_per_day: Count | None = None
    max_concurrent_requests: Count | None = None
    burst_seconds: BurstSeconds | dict[str, BurstSeconds] = 60.0
    enforced_as: Literal["bucket", "window"] = "bucket"
    window_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0


class Fault(_Strict):
    """Something that goes wrong, and when.

    kind      status: answered with `status` (charged like an accepted call unless `charged` is
              false; by default only from 500 on); latency: `seconds` longer; and in mid-answer,
              after `after_chunks` chunks: cut: a stream ends cleanly without its end marker;
              error: a stream ends with an error event; stall: nothing more comes for `seconds`
              (without it: ever); drop: the connection is closed; reset: it is reset (RST).
              cut and error strike streams only.
    when      `every` n-th call, and with `probability`, and at most `times` times; each left out
              does not restrict. `account` and `stream` choose among the calls.
    """

    kind: Literal["status", "latency", "cut", "error", "stall", "drop", "reset"]
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    charged: bool | None = None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    every: Count | None = None
    times: Count | None = None
    account: str | None = None
    stream: bool | None = None
    after_chunks: Annotated[int, Field(ge=0)] = 1
    seconds: Seconds | None = None
    retry_after_s: Seconds | None = None
    error_type: str | None = None
    error_code: str | None = None
    message: str | None = None
    headers: dict[str, str] = {}

    @model_validator(mode="after")
    def _status_needs_a_status(self) -> Fault:
        if (self.kind == "status") != (self.status is not None):
            raise ValueError("`status` belongs to kind 'status', which cannot do without it")
        return self

    @property
    def is_charged(self) -> bool:
        """Whether an answer with a status counts against the limits."""
        return (self.status or 0) >= 500 if self.charged is None else self.charged


class SimulatorConfig(_Strict):
    """A whole provider.

    A call lasts `latency_s` + `seconds_per_output_token` for each output token, from acceptance to
    the last byte; its output is produced evenly over that time in `chunks` steps, and charged step
    by step, streamed or not. `default_max_tokens` stands in where a request names no maximum.
    The books keep the last `keep` requests.
    """

    kind: Literal["anthropic", "openai", "both"] = "both"
    seed: int = 1
    latency_s: SpreadField = Spread(0.5, 0.5)
    output_tokens: SpreadField = Spread(200, 200)
    seconds_per_output_token: Seconds = 0.0
    chunks: Count = 5
    default_max_tokens: Count = 4096
    keep: Count = 200_000
    accounts: dict[str, AccountConfig] = Field(min_length=1)
    faults: list[Fault] = []

    @model_validator(mode="after")
    def _each_key_has_one_account(self) -> SimulatorConfig:
        owners: dict[str, str] = {}
        for name, account in self.accounts.items():
            for index, key in enumerate(account.keys):
                if key in owners:
                    raise ValueError(f"accounts.{name}.keys.{index} is already a key of {owners[key]!r}")
                owners[key] = name
        return self


_FAULTS = TypeAdapter(list[Fault])


def parse_config(config: Mapping[str, Any]) -> SimulatorConfig:
    """Check a config.

    Raises:
        SimulatorConfigError: names the field and what is wrong with it.
    """
    try:
        return SimulatorConfig.model_validate(dict(config))
    except ValidationError as error:
        raise SimulatorConfigError(f"simulator config: {_explain(error)}") from None


def parse_faults(faults: Any) -> list[Fault]:
    """Check a list of faults.

    Raises:
        SimulatorConfigError: names the field and what is wrong with it.
    """
    try:
        return _FAULTS.validate_python(faults)
    except ValidationError as error:
        raise SimulatorConfigError(f"simulator faults: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {message}" if place else message)
    return "; ".join(lines)

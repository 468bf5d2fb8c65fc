"""What every section of the config is made of: field types, names, unknown fields. Knows no section."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

__all__ = [
    "Amount",
    "BurstSeconds",
    "ChargeRule",
    "Count",
    "Jitter",
    "Name",
    "Resource",
    "Seconds",
    "Section",
    "Temperature",
    "Weight",
    "closest",
    "name_problem",
]

Resource: TypeAlias = Literal["requests", "input_tokens", "output_tokens", "tokens"]
ChargeRule: TypeAlias = Literal["at_start", "at_start_adjust", "as_produced"]


def closest(word: str, known: Iterable[str]) -> str:
    """The remedy for a name that is not known: the nearest one, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"


def name_problem(name: str) -> str | None:
    """Why `name` cannot name a provider, account, lane, tenant or tag; None when it can."""
    if not 1 <= len(name) <= 128:
        return "must have 1 to 128 characters"
    if any(char in '|"\\' or ord(char) < 32 or ord(char) == 127 for char in name):
        return "must not contain |, quotes, backslashes or control characters"
    return None


def _checked_name(name: str) -> str:
    problem = name_problem(name)
    if problem:
        raise ValueError(problem)
    return name


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _shape_of_burst(burst: object) -> str:
    return "(each)" if isinstance(burst, dict) else "(all)"


Name: TypeAlias = Annotated[str, AfterValidator(_checked_name)]
Count: TypeAlias = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
# Levels are integers below 2^53 in units of amount x 60,000 (ENGINE.md §2).
Amount: TypeAlias = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=150_000_000_000)]
Seconds: TypeAlias = Annotated[
    float, BeforeValidator(_no_bool), Field(gt=0, le=31_536_000, allow_inf_nan=False)
]
Jitter: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=60, allow_inf_nan=False)]
Temperature: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=2, allow_inf_nan=False)]
# Told to Redis in thousandths.
Weight: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(ge=0.001, le=1000, allow_inf_nan=False)]
# Parts of a place in brackets, such as these tags, are not shown to people.
BurstSeconds: TypeAlias = Annotated[
    Annotated[Seconds, Tag("(all)")] | Annotated[dict[Resource, Seconds], Tag("(each)")],
    Discriminator(_shape_of_burst),
]


class Section(BaseModel):
    """A mapping of the config: frozen, its own fields only; a field left empty counts as not given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)
    names_may_be_secret: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _own_fields_only(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return {} if data is None else data
        known = {field.alias or name for name, field in cls.model_fields.items() if name != "name"}
        unknown = [str(name) for name in data if name not in known and name not in cls.model_fields]
        if unknown and cls.names_may_be_secret:
            raise PydanticCustomError("unknown_field", "unknown field; " + closest("", known))
        if unknown:
            remedy = closest(unknown[0], known)
            raise PydanticCustomError("unknown_field", "unknown field; " + remedy, {"field": unknown[0]})
        return {name: value for name, value in data.items() if value is not None and value != ""}

"""As much of JSON schema as config/llm.schema.json uses; an unknown word is an error, not a pass."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["faults_of"]

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
BOUNDS = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "minProperties": lambda value, bound: len(value) >= bound,
    "minLength": lambda value, bound: len(value) >= bound,
    "enum": lambda value, bound: value in bound,
    "pattern": lambda value, bound: re.search(bound, value) is not None,
}
SILENT = {"$schema", "$defs", "title", "description", "default", "format", "writeOnly"}


def faults_of(
    value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, at: str = ""
) -> list[str]:
    """Where `value` does not fit, each `place: why`."""
    root = schema if root is None else root
    if "$ref" in schema:
        schema = {**root["$defs"][schema["$ref"].rpartition("/")[2]], "default": None}
    faults: list[str] = []
    for word, said in schema.items():
        if word == "type":
            is_bool_number = isinstance(value, bool) and said in ("integer", "number")
            if is_bool_number or not isinstance(value, TYPES[said]):
                return [f"{at}: no {said}"]
        elif word in ("anyOf", "oneOf"):
            if all(faults_of(value, option, root, at) for option in said):
                faults.append(f"{at}: fits none of {len(said)}")
        elif word in ("properties", "required", "additionalProperties", "propertyNames", "items"):
            faults += _inside(value, schema, root, at) if word == next(iter(_NESTED & set(schema))) else []
        elif word in BOUNDS:
            if isinstance(value, TYPES[schema.get("type", "string")]) and not BOUNDS[word](value, said):
                faults.append(f"{at}: {word} {said}")
        elif word not in SILENT:
            faults.append(f"{at}: the schema's word {word!r} is not known here")
    return faults


_NESTED = {"properties", "required", "additionalProperties", "propertyNames", "items"}


def _inside(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str) -> list[str]:
    if isinstance(value, list):
        entries = enumerate(value)
        return [
            fault for i, entry in entries for fault in faults_of(entry, schema["items"], root, f"{at}.{i}")
        ]
    if not isinstance(value, dict):
        return []
    faults = [
        f"{at}.{name}".lstrip(".") + ": missing" for name in schema.get("required", ()) if name not in value
    ]
    known, other = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, entry in value.items():
        place = f"{at}.{name}".lstrip(".")
        if name in known:
            faults += faults_of(entry, known[name], root, place)
        elif other is False:
            faults.append(f"{place}: unknown")
        elif isinstance(other, dict):
            faults += faults_of(entry, other, root, place)
        if "propertyNames" in schema:
            faults += faults_of(name, {"type": "string", **schema["propertyNames"]}, root, place)
    return faults

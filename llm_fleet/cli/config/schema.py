"""`llm-fleet config schema`: the config's JSON schema, for editors. Opens nothing."""

from __future__ import annotations

from typing import Any

from ..render import print_json

__all__ = ["config_schema", "schema"]

VARIABLE = {"description": "From the environment.", "type": "string", "pattern": r"\$\{"}
"""What may stand for a number or a word."""

SCALARS = ("integer", "number", "boolean")
BOUNDS: dict[str, str] = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
"""pydantic's words for a bound behind a validator, and those of JSON schema."""


def schema() -> None:
    """Print the JSON schema of the config; editors complete and check the YAML by it.

    In VS Code and others with the YAML language server the file's first line is
    `# yaml-language-server: $schema=./llm.schema.json`.
    """
    print_json(config_schema())


def config_schema() -> dict[str, Any]:
    """The schema of the YAML as it is written: numbers and words may be `${NAME}`."""
    from ...config import FleetConfig

    written: dict[str, Any] = _as_written(FleetConfig.model_json_schema(by_alias=True))
    dialect = "https://json-schema.org/draft/2020-12/schema"
    written["$defs"]["Variable"] = VARIABLE
    return {"$schema": dialect, "title": "llm_fleet config", **written}


def _as_written(node: Any, *, is_named: bool = False) -> Any:
    """`is_named`: the keys of `node` are the config's own names, not words of JSON schema."""
    if isinstance(node, list):
        return [_as_written(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if is_named:
        return {name: _as_written(entry) for name, entry in node.items()}
    words: dict[str, Any] = node
    found = {
        BOUNDS.get(word, word): _as_written(entry, is_named=word in ("properties", "$defs"))
        for word, entry in words.items()
        if word != "title"
    }
    return _or_variable(found) if found.get("type") in SCALARS or "enum" in found else found


def _or_variable(found: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {word: found.pop(word) for word in ("default", "description") if word in found}
    return {"anyOf": [found, {"$ref": "#/$defs/Variable"}], **told}

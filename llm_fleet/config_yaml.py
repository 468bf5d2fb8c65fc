"""From YAML text to a plain tree: syntax, duplicate fields, `${NAME}`. Knows no field of the config."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from .errors import ConfigError

__all__ = ["expand", "read_tree", "yaml_path"]

_LARGEST = 100_000
"""Nodes that a config may have, aliases counted: an alias bomb ends here."""

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_TOKEN = re.compile(r"<[a-z -]+>|.|\\t")
_BARE_KEY = re.compile(r"^(sk-|gsk_|xai-|key-)", re.IGNORECASE)

Path = tuple[str | int, ...]


def yaml_path(parts: Sequence[str | int]) -> str:
    """`("providers", "anthropic", "api_keys", 1)` as `providers.anthropic.api_keys[1]`.

    A name that may be an API key in the wrong place is shown as `?`.
    """
    text = ""
    for position, part in enumerate(parts):
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{'?' if _may_be_secret(part, parts[:position]) else part}"
    return text.lstrip(".")


def _may_be_secret(name: str, above: Sequence[str | int]) -> bool:
    return bool(_BARE_KEY.match(name)) or ("api_keys" in above and name not in ("key", "account"))


def read_tree(text: str, source: str) -> dict[str, Any]:
    """The mapping that `text` holds, nothing expanded yet.

    Raises: ConfigError with `source` and line:column for what is not YAML, for a duplicate
    field, and for anything that is not a mapping.
    """
    try:
        tree = _construct(text, source)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_message(error, source)) from None
    except yaml.YAMLError:
        raise ConfigError(f"{source}: not YAML text: it holds a character that YAML refuses") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply; a config needs six levels at most") from None
    except ValueError:
        raise ConfigError(f"{source}: a date or number cannot be read; put it in quotes") from None
    if tree is None:
        raise ConfigError(f"{source}: empty; it needs at least `providers:` with one provider in it")
    if not isinstance(tree, dict):
        raise ConfigError(f"{source}: holds {_kind_of(tree)}, not a mapping; it must begin with `providers:`")
    return tree


def _construct(text: str, source: str) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        for count, (path, mapping) in enumerate(_walk(node)):
            if count > _LARGEST:
                raise ConfigError(f"{source}: more than {_LARGEST} values; do its aliases multiply?")
            _refuse_duplicates(mapping, path, source)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: Path = (), above: tuple[int, ...] = ()) -> Iterator[tuple[Path, yaml.Node]]:
    """Every node with its path, in order, those behind aliases as often as they are used."""
    if id(node) in above:
        raise yaml.composer.ComposerError(None, None, "an alias refers to itself", node.start_mark)
    yield path, node
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _walk(value, (*path, _text_of(key)), above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*path, index), above)


def _text_of(key: yaml.Node) -> str:
    return key.value if isinstance(key, yaml.ScalarNode) else "?"


def _refuse_duplicates(node: yaml.Node, path: Path, source: str) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, _ in node.value:
        name, line = _text_of(key), key.start_mark.line + 1
        if name in seen and name != "<<":
            place = yaml_path((*path, name))
            raise ConfigError(
                f"{source}:{line}: {place}: written twice (first on line {seen[name]}); keep one of them"
            )
        seen[name] = line


def _syntax_message(error: yaml.MarkedYAMLError, source: str) -> str:
    """Where and what, without the quoted line: it may hold a key."""
    mark = error.problem_mark or error.context_mark
    place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
    problem = _QUOTED.sub(_token_only, error.problem or "syntax error")
    context = f" ({_QUOTED.sub(_token_only, error.context)})" if error.context else ""
    return f"{place}: not readable as YAML: {problem}{context}"


def _token_only(quoted: re.Match[str]) -> str:
    inner = quoted.group(1) or quoted.group(2) or ""
    return quoted.group(0) if _TOKEN.fullmatch(inner) else "…"


def _kind_of(value: object) -> str:
    return "a list" if isinstance(value, list) else "a single value"


def expand(tree: Any, env: Mapping[str, str], source: str, path: Path = ()) -> Any:
    """A copy of `tree` with `${NAME}` and `${NAME:-default}` replaced in every text value.

    As in a shell, the default also stands in for an empty variable; `$${` is a literal `${`.

    Raises: ConfigError that names the YAML path and the variable that is not set.
    """
    if isinstance(tree, dict):
        return {name: expand(value, env, source, (*path, str(name))) for name, value in tree.items()}
    if isinstance(tree, list):
        return [expand(value, env, source, (*path, index)) for index, value in enumerate(tree)]
    if not isinstance(tree, str) or "${" not in tree:
        return tree
    return _REFERENCE.sub(lambda found: _value_of(found, env, f"{source}: {yaml_path(path)}"), tree)


def _value_of(found: re.Match[str], env: Mapping[str, str], place: str) -> str:
    name, default = found.group(1), found.group(2)
    if found.group(0) == "$${":
        return "${"
    if name is None:
        raise ConfigError(f"{place}: `${{` begins no variable; write ${{NAME}}, or $${{ for these characters")
    value = env.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise ConfigError(
            f"{place}: the variable {name} is not set in the environment; export it, or write a default:"
            f" ${{{name}:-…}}"
        )
    return value

"""Finds the Lua scripts, joins their includes and names them by their SHA1.

Knows nothing of what a script does; `lua/` lies beside the package in a checkout and inside it
in a wheel.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..errors import ConfigError

__all__ = ["Script", "load_script", "lua_folder", "script_names"]

_INCLUDE = re.compile(r"^ *--@include (lib/\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis gets it: `source` with its includes joined, `sha` by which it is called."""

    name: str
    source: str = field(repr=False)
    sha: str


@cache
def lua_folder() -> Path:
    """The folder with the scripts.

    Raises:
        ConfigError: the installation has no scripts.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "lua", package.parent / "lua"):
        if (folder / "pool_step.lua").is_file():
            return folder
    raise ConfigError(
        f"{package}: the Lua scripts are missing from this installation; install llm_fleet again"
    )


def script_names() -> list[str]:
    """The names of all scripts, sorted."""
    return sorted(path.stem for path in lua_folder().glob("*.lua"))


def _joined(name: str) -> str:
    text = (lua_folder() / f"{name}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda found: _joined(found[1]), text).strip()


@cache
def load_script(name: str) -> Script:
    """Read `lua/<name>.lua` with its includes, and theirs, each in the place of its line."""
    source = _joined(name)
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

"""Loads files of lua/lib into a Lua 5.1 of their own, so that their pure functions are tested alone."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from lupa import lua51

from llm_fleet.engine.scripts import lua_folder
from tests.lua_redis.rooms import open_room

__all__ = ["Library", "examples"]

examples = settings(max_examples=80, deadline=None, derandomize=True, database=None)


class Library:
    """Some files of lua/lib, joined; their locals by name: `Library("bucket")["ceil_div"](7, 2)`."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self._lua = lua51.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
        self._lua.globals().cjson = self.table({"decode": lambda text: self.table(json.loads(text))})
        self._lua.globals().struct = open_room(self._lua, "struct")
        texts = [(lua_folder() / "lib" / f"{name}.lua").read_text(encoding="utf-8") for name in names]
        self._source = "\n".join(texts)

    def __getitem__(self, name: str) -> Any:
        return self._lua.execute(f"{self._source}\nreturn {name}")

    def several(self, *names: str) -> list[Any]:
        """Functions that share their file's state."""
        return list(self._lua.execute(f"{self._source}\nreturn {', '.join(names)}"))

    def table(self, values: Any) -> Any:
        """A Lua table out of a dict or a list."""
        return self._lua.table_from(values)

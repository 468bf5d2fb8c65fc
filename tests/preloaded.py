"""The example WSGI application, with a manager that has called before gunicorn forks (`--preload`)."""

from __future__ import annotations

from examples.wsgi_app import application
from llm_fleet import sync
from tests.managers import HELLO

__all__ = ["application"]

assert sync.get_llm_manager().get_client().complete(HELLO).content

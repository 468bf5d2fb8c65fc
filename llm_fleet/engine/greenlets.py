"""Recognises a process whose threads and sockets were replaced by gevent or eventlet.

A thread that is a greenlet would stop all others for as long as its event loop runs.
"""

from __future__ import annotations

import socket
import threading

from ..errors import ConfigError

__all__ = ["refuse_greenlets"]

LIBRARIES = ("gevent", "eventlet")


def refuse_greenlets() -> None:
    """Refuse to start threads in a process that was patched.

    Raises:
        ConfigError: gevent or eventlet has patched `threading` or `socket`; the message says which.
    """
    for patched, place in ((threading.Lock, "threading"), (socket.socket, "socket")):
        library = str(getattr(patched, "__module__", "")).partition(".")[0]
        if library in LIBRARIES:
            raise ConfigError(
                f"{library} has patched `{place}` in this process, and llm_fleet needs real threads:"
                " use gunicorn's gthread or asgi workers, Celery's prefork or threads pools,"
                f" or leave `{place}` out of {library}'s monkey patching"
            )

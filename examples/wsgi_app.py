"""A WSGI application without a framework: POST a question, get the answer.

    gunicorn --workers 2 --worker-class gthread --threads 8 --preload examples.wsgi_app:application
    curl -d "Why is the sky blue?" http://127.0.0.1:8000/

GET /health/live and /health/ready are for probes. Every worker has one manager, shared by its threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from llm_fleet import LimitError, Message, MessageRole
from llm_fleet.sync import get_llm_manager

Start = Callable[[str, list[tuple[str, str]]], Any]


def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Answer a request."""
    if environ["PATH_INFO"].startswith("/health/"):
        return probe(environ["PATH_INFO"].removeprefix("/health/"), start_response)
    question = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    try:
        response = get_llm_manager().get_client().complete([Message(MessageRole.USER, question)], timeout=60)
    except LimitError as error:
        start_response("503 Service Unavailable", [("Retry-After", str(round(error.retry_after or 1) or 1))])
        return [str(error).encode()]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [response.content.encode()]


def probe(asked: str, start_response: Start) -> Iterable[bytes]:
    """Liveness never depends on Redis; readiness says why not."""
    health = get_llm_manager().health()
    is_well = health["live"] if asked == "live" else health["ready"]
    status = "200 OK" if is_well else "503 Service Unavailable"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(health).encode()]

"""An ASGI application (Starlette; FastAPI likewise): POST a question, get the answer, whole or streamed.

    gunicorn --workers 2 --worker-class asgi examples.asgi_app:app      # or uvicorn --workers 2 …
    curl -d "Why is the sky blue?" http://127.0.0.1:8000/
    curl -d "Why is the sky blue?" -N http://127.0.0.1:8000/stream

GET /health/live and /health/ready are for probes.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from llm_fleet import LimitError, Message, MessageRole
from llm_fleet.contrib.asgi import health, lifespan


async def messages(request: Request) -> list[Message]:
    """The question of a request."""
    return [Message(MessageRole.USER, (await request.body()).decode())]


async def answer(request: Request) -> Response:
    """The whole answer."""
    client = request.state.llm_manager.get_client()
    try:
        response = await client.complete(await messages(request), timeout=60)
    except LimitError as error:
        headers = {"Retry-After": str(round(error.retry_after or 1) or 1)}
        return PlainTextResponse(str(error), status_code=503, headers=headers)
    return PlainTextResponse(response.content)


async def stream(request: Request) -> Response:
    """The answer as it comes; a client that goes away ends the call."""
    client = request.state.llm_manager.get_client()
    return StreamingResponse(client.stream_complete(await messages(request)), media_type="text/plain")


app = Starlette(
    routes=[
        Route("/", answer, methods=["POST"]),
        Route("/stream", stream, methods=["POST"]),
        Mount("/health", health),
    ],
    lifespan=lifespan,
)

"""The HTTP of the /generate service: POST /generate, GET /health, /metrics and /info."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from tokgate.generate.bodylimit import BodyLimit
from tokgate.generate.messages import GenerateAnswer, GenerateRequest, LimitError, ask_of, fault
from tokgate.generate.meters import CONTENT_TYPE
from tokgate.generate.service import EndingError, Service, State
from tokgate.generate.waiting import ClosedError, FullError, Job

# What nginx calls it when a client goes away; nobody reads it.
_CLIENT_CLOSED = 499


def create_app(service: Service, vocab_size: int) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(service.run())
        # One step of it, so that there is a queue before there are requests.
        await asyncio.sleep(0)
        yield
        service.close()
        if not service.busy:
            await running
        running.cancel()

    app = FastAPI(title="tokgate generate-service", lifespan=lifespan, docs_url="/docs", redoc_url=None)
    app.add_middleware(BodyLimit, most_bytes=service.settings.limits.body_bytes)
    _add_refusals(app, service)

    @app.post("/generate")
    async def generate(body: GenerateRequest, request: Request) -> GenerateAnswer:
        """Continues the prompt."""
        came_s = time.perf_counter()
        if service.state is not State.READY:
            raise ClosedError
        # Long texts take a while, in which others should be heard.
        prompt = await asyncio.to_thread(service.encode, body.prompt) if isinstance(body.prompt, str) else body.prompt
        job = service.submit(ask_of(body.parameters, prompt, service.settings.limits, vocab_size))
        try:
            answered = await _answered(job, request)
        except asyncio.CancelledError:
            service.drop(job)
            raise
        if not answered:
            service.drop(job)
            raise _GoneError
        answer = job.answered.result()
        total_s = time.perf_counter() - came_s
        service.meters.answered(answer, job.queue_s, total_s)
        service.meters.requests.labels("200").inc()
        return GenerateAnswer(
            response=answer.text,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            queue_s=job.queue_s,
            prefill_s=answer.prefill_s,
            generate_s=answer.total_s,
            total_s=total_s,
            batch=answer.batch,
        )

    @app.get("/health")
    async def health() -> Response:
        """200 when there is a model to ask."""
        return JSONResponse({"status": service.state.value}, 200 if service.state is State.READY else 503)

    @app.get("/info")
    async def info() -> dict[str, Any]:
        """What was loaded, its limits, and how near it is to the FP32 reference on the same weights."""
        return service.info

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.meters.text(), media_type=CONTENT_TYPE)

    return app


class _GoneError(Exception):
    """The client went away before its answer."""


async def _answered(job: Job, request: Request) -> bool:
    """Whether the answer, or the error in its place, came before the client went."""
    gone = asyncio.create_task(_gone(request))
    try:
        waited: set[asyncio.Future[Any]] = {job.answered, gone}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    return job.answered.done()


async def _gone(request: Request) -> None:
    """Behind the body there comes nothing but the end of the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _add_refusals(app: FastAPI, service: Service) -> None:
    """Everything that is no answer, counted by its status."""

    def refusal(status: int, detail: Any, headers: dict[str, str] | None = None) -> JSONResponse:
        service.meters.requests.labels(str(status)).inc()
        return JSONResponse({"detail": detail}, status, headers)

    def busy(detail: str) -> JSONResponse:
        return refusal(503, detail, {"Retry-After": str(service.retry_after_s)})

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return refusal(422, [fault(entry["loc"], entry["msg"]) for entry in error.errors()])

    @app.exception_handler(LimitError)
    async def beyond(request: Request, error: LimitError) -> Response:
        return refusal(422, [fault(error.place, str(error))])

    @app.exception_handler(FullError)
    async def full(request: Request, error: FullError) -> Response:
        return busy(f"the queue is full: {service.settings.queue} requests wait; try again later")

    @app.exception_handler(ClosedError)
    async def closed(request: Request, error: ClosedError) -> Response:
        return busy(f"the service is {service.state.value}; try again later")

    @app.exception_handler(EndingError)
    async def ending(request: Request, error: EndingError) -> Response:
        return busy("the service is ending, and did not come to this request; try again later")

    @app.exception_handler(_GoneError)
    async def gone(request: Request, error: _GoneError) -> Response:
        return Response(status_code=_CLIENT_CLOSED)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return refusal(500, f"the engine failed: {type(error).__name__}: {error}")

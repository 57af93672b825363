"""Applications as anyone would have written them, for tests to serve."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.requests import Request

from atoll import get
from atoll.runtime.context import current


class Stock:
    """A contract to call."""

    @get("/stock/{sku}")
    async def stock(self, sku: str) -> int:
        raise NotImplementedError


app = FastAPI(docs_url=None)


@app.get("/hello/{name}")
async def hello(request: Request, name: str) -> dict[str, str]:
    context = current.get()
    return {
        "hello": name,
        "root_path": str(request.scope["root_path"]),
        "trace": f"{context.trace_id:032x}" if context else "",
        "left": str(context.left()) if context else "",
    }


@app.get("/broken")
async def broken() -> None:
    raise RuntimeError("the secret is 42")


@app.get("/away")
async def away() -> PlainTextResponse:
    return PlainTextResponse("come back later", 503)


@app.get("/half")
async def half() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("and no more")

    return StreamingResponse(pieces())


@app.get("/slow")
async def slow() -> PlainTextResponse:
    await asyncio.sleep(0.3)
    return PlainTextResponse("done")


@app.get("/now")
async def now() -> PlainTextResponse:
    return PlainTextResponse("now")


def create(stock: Stock) -> FastAPI:
    """A factory, whose parameters are injected."""
    made = FastAPI(docs_url=None)

    @made.get("/shop/{sku}")
    async def shop(sku: str) -> dict[str, int]:
        return {"left": await stock.stock(sku)}

    return made


@asynccontextmanager
async def _failing(_: FastAPI) -> AsyncIterator[None]:
    raise LookupError("no such table: products")
    yield


@asynccontextmanager
async def _polite(application: FastAPI) -> AsyncIterator[None]:
    application.state.said.append("startup")
    yield
    application.state.said.append("shutdown")


unstartable = FastAPI(lifespan=_failing)

polite = FastAPI(lifespan=_polite)
polite.state.said = []

entered = asyncio.Event()


@polite.get("/forever")
async def forever() -> None:
    entered.set()
    await asyncio.Event().wait()

# SPDX-License-Identifier: Apache-2.0
"""An application as users write them: sync and async endpoints, a router, a mounted app, a lifespan, other middlewares."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from celery import Celery
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import PlainTextResponse
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request

import z4j_celery
import z4j_fastapi

celery = Celery("shop", broker=os.environ["BROKER_URL"])


@celery.task(name="ship")
def ship(number: int) -> int:
    return number


def enqueue(number: int) -> PlainTextResponse:
    return PlainTextResponse(str(ship.delay(number).id))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    print("lifespan begins", flush=True)
    yield
    print("lifespan ends", flush=True)


app = FastAPI(lifespan=lifespan)
router = APIRouter(prefix="/shop")
inner = FastAPI()


@app.get("/")
async def home() -> PlainTextResponse:
    return PlainTextResponse("home")


@app.get("/broken")
async def broken() -> None:
    raise LookupError("as the endpoint says")


@app.get("/orders/{number}")
def order(number: int) -> PlainTextResponse:
    return enqueue(number)


@router.get("/later/{number}")
async def later(number: int) -> PlainTextResponse:
    return enqueue(number)


@app.get("/after/{number}")
async def after(number: int, background: BackgroundTasks) -> PlainTextResponse:
    background.add_task(ship.apply_async, (number,), task_id=f"after-{number}")
    return PlainTextResponse(f"after-{number}")


@inner.get("/inside/{number}")
async def inside(number: int) -> PlainTextResponse:
    return enqueue(number)


@app.websocket("/talk/{number}")
async def talk(websocket: WebSocket, number: int) -> None:
    await websocket.accept()
    await websocket.send_text(str(ship.delay(number).id))
    await websocket.close()


async def add_header(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    response.headers["x-shop"] = "yes"
    return response


app.include_router(router)
app.mount("/mounted", inner)
app.add_middleware(BaseHTTPMiddleware, dispatch=add_header)
if not os.environ.get("WITHOUT_Z4J"):
    z4j_fastapi.install(app, APP="shop", ALLOW="read")
    z4j_fastapi.install(app)
    z4j_celery.install(celery)

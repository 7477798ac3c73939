"""Is the process alive, may it take calls, how is it doing: for orchestrators and for Prometheus."""

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from api.access import Operator
from api.deps import ServicesDep
from storage.errors import DatabaseAway
from telemetry import metrics

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Answer; that is all there is to prove."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(services: ServicesDep) -> JSONResponse:
    """Answer 200 when new calls may come here, else 503 and what is in the way. Full is ready: it says busy."""
    problems: dict[str, str] = {}
    try:
        await services.database.ping()
    except DatabaseAway as error:
        problems["database"] = str(error)
    if not services.agents.catalog.agents:
        problems["agents"] = "no agent is loaded"
    if services.live.is_draining:
        problems["draining"] = "the process is about to end and takes no new calls"
    return JSONResponse(
        {"status": "not ready" if problems else "ready", "problems": problems}, 503 if problems else 200
    )


@router.get("/metrics", dependencies=[Operator])
async def read_metrics() -> Response:
    """Answer all metrics as Prometheus text."""
    metrics.TASKS.set(len(asyncio.all_tasks()))
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)

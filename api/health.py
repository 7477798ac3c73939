"""Is the process alive, may it take calls, how is it doing: for orchestrators and for Prometheus."""

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from aftercall.queues import measure_queues
from api.deps import ServicesDep
from api.operators import MetricsReader
from storage.errors import DatabaseAway
from telemetry import metrics

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Answer; that is all there is to prove."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(services: ServicesDep) -> JSONResponse:
    """Answer 200 when new calls may come, else 503 and what is in the way. Full is ready: it says busy.

    The answer is the whole server's, whichever of its processes is asked.
    """
    problems: dict[str, str] = {}
    try:
        await services.database.ping()
    except DatabaseAway as error:
        problems["database"] = str(error)
    if not services.agents.catalog.agents:
        problems["agents"] = "no agent is loaded"
    is_open = await services.colleagues.is_open()
    if services.live.is_draining if is_open is None else not is_open:
        problems["draining"] = "the process is about to end and takes no new calls"
    return JSONResponse(
        {"status": "not ready" if problems else "ready", "problems": problems}, 503 if problems else 200
    )


@router.get("/metrics", dependencies=[MetricsReader])
async def read_metrics(services: ServicesDep) -> Response:
    """Answer the metrics of all processes as Prometheus text."""
    metrics.TASKS.set(len(asyncio.all_tasks()))
    await measure_queues(services.database, datetime.now(UTC))
    text = await services.colleagues.read_metrics()
    whole = metrics.render() if text is None else text + metrics.render_shared()
    return Response(whole, media_type=metrics.CONTENT_TYPE)

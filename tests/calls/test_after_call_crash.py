"""What comes after a call outlives `kill -9`: done by the next server, once in effect."""

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from sqlmodel import select

from aftercall.delivery_store import DeliveryStore
from aftercall.models import AnalysisRow, CostRow, DeliveryRow
from tests.calls.server_process import open_street
from tests.unit.aftercall.receiver import receiving


@pytest.mark.soak
async def test_messages_and_analysis_outlive_kill_9(tmp_path: Path) -> None:
    async with receiving() as house:
        port, host, url = int(house.host.rpartition(":")[2]), house.host, house.url
    async with open_street(tmp_path) as town:
        file = town.agents_dir / "front-desk.yaml"
        agent = yaml.safe_load(await asyncio.to_thread(file.read_text))
        agent |= {"analysis": {"summary": True}, "webhooks": [{"url": url, "include": ["analysis"]}]}
        await asyncio.to_thread(file.write_text, yaml.safe_dump(agent))
        first = await town.serve(tool_private_hosts=host)
        call = await town.talk(first)
        await call.hang_up()
        row = await town.ended_row(call)
        async with asyncio.timeout(20):
            while not await _read(town.database, DeliveryRow):  # noqa: ASYNC110 - a row tells nobody
                await asyncio.sleep(0.02)
        first.signal(signal.SIGKILL)
        await first.ended()
        assert any(one.status == "pending" for one in await _read(town.database, DeliveryRow))
        await town.serve(tool_private_hosts=host)
        async with receiving(port) as house:
            store = DeliveryStore(town.database)
            [endpoint_id] = {one.endpoint_id for one in await _read(town.database, DeliveryRow)}
            house.secret = await store.secret_of(endpoint_id, "front-desk", datetime.now(UTC))
            async with asyncio.timeout(120):
                while len(set(house.ids)) < 2:  # noqa: ASYNC110 - a receiver has no bell
                    await asyncio.sleep(0.1)
            async with asyncio.timeout(20):
                while any(one.status != "delivered" for one in await _read(town.database, DeliveryRow)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        assert set(house.ids) == {f"msg_{row.call_id}_ended", f"msg_{row.call_id}_analyzed"}
        [analysis] = await _read(town.database, AnalysisRow)
        assert (analysis.status, analysis.run) == ("done", 1)
        events = [event.kind for event in await town.events(call)]
        assert events.count("call.analyzed") == 1
        costs = await _read(town.database, CostRow)
        assert len({(cost.item, cost.source, cost.model) for cost in costs}) == len(costs) >= 5


async def _read(database, table):
    async with database.reader() as session:
        return list((await session.exec(select(table))).all())

"""Everything the routes use, built from settings and bots, and closed in the reverse order."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from aftercall.desk import open_after_call
from api.audit_log import Audit
from api.deps import Services
from api.dialling import open_dialler
from api.gate import open_gate
from api.idempotency import purging
from api.lines import OutgoingLines
from api.news import News
from api.rescue import open_rescue
from api.secret_key import load_or_create
from api.talks import open_talks
from api.tracing import open_traces
from api.transfer_desk import open_transfer_desk
from calling.callbacks import CallsBack
from config.agent import AgentConfig
from config.agent_file import Checks
from config.guest_environment import guest_environment
from config.settings import Settings, lend_environment
from pipelines import AnyBot, GuestBot
from pipelines.answering import Answering
from pipelines.call_services import CallServices
from pipelines.callbacks import CannotCallBack
from pipelines.gemini_client import client_for
from pipelines.guest import settings_of_bots
from pipelines.live import LiveCalls
from pipelines.ringing import Ringing
from pipelines.sentences import open_sentences
from pipelines.stages import check_dotted
from pipelines.toolbox import Toolbox
from pipelines.voice_activity import load_voice_model
from privacy.erasure import Eraser
from privacy.purging import purging as purging_expired
from privacy.purging import retentions_of
from privacy.retention import Purge
from storage.agent_desk import AgentDesk
from storage.agents_in_force import open_agents
from storage.audit import AuditStore
from storage.idempotency import RepeatStore
from storage.keys import KeyStore
from switchboard.colleagues import Colleagues
from telemetry.loop_lag import LoopLag
from transcripts.archive import open_archive
from transcripts.do_not_call import DoNotCall
from transcripts.models import CallRow
from transcripts.records import Records


@asynccontextmanager
async def open_services(
    settings: Settings, bots: Mapping[str, AnyBot], colleagues: Colleagues
) -> AsyncGenerator[Services]:
    """Build everything the routes use; close it at the end. Raises what `CannotStart` is made from."""
    secret = await asyncio.to_thread(load_or_create, settings.data_dir / "secret.key")
    if any(isinstance(bot, GuestBot) for bot in bots.values()):
        lend_environment(await asyncio.to_thread(guest_environment, settings))
    toolbox = Toolbox(bots, settings)
    checks = Checks(settings_of_bots(bots), check_dotted, toolbox.faults_of)
    await asyncio.to_thread(load_voice_model)
    gemini = await asyncio.to_thread(client_for, settings)
    async with AsyncExitStack() as closing:
        enter = closing.enter_async_context
        archive = await enter(open_archive(settings))
        db, store, log, name = archive.database, archive.store, archive.log_writer, archive.instance.name
        tracer = await enter(open_traces(settings, log, archive.workflows, name))
        in_force = await enter(open_agents(db, settings.agents_dir, checks))
        agents = in_force.watch

        lag = closing.enter_context(LoopLag(settings.max_loop_lag_ms).measuring())
        live = LiveCalls(settings.max_calls, most_here=settings.max_calls_per_process, is_slow=lag.is_slow)

        async def agent_of(row: CallRow) -> AgentConfig | None:
            return await in_force.of_call(row.agent_name, row.agent_version)

        after_call = await enter(open_after_call(settings, db, archive.workflows, agent_of))
        reader, folder = gemini if settings.prepare_sentences else None, settings.data_dir / "sentences"
        tell = after_call.told_usage
        sentences = await enter(open_sentences(folder, reader, lambda: agents.catalog.agents, tell))
        await enter(toolbox.opened(lambda: agents.catalog.agents))
        in_force.on_changed = toolbox.look
        ringing, calls_back = Ringing(gemini, bots, sentences, toolbox), CallsBack(CannotCallBack)
        closing.push_async_callback(ringing.close)
        desk = await enter(open_transfer_desk(settings, db))
        unwanted = DoNotCall(db, archive.backlog.keep_now)
        shared = CallServices(
            gemini=gemini,
            ringing=ringing,
            sentences=sentences,
            recordings=archive.recordings,
            toolbox=toolbox,
            records_of=partial(Records, db),
            agents=agents,
            callbacks=calls_back,
            ringer=desk,
            do_not_call=unwanted,
        )
        answering = Answering(bots, live, log, shared)

        talks = await enter(open_talks(settings, answering, store, owner=name, colleagues=colleagues))
        rescue = await enter(open_rescue(settings, store, log, agents, desk))
        lines = OutgoingLines(live, answering, colleagues, name)
        dialler = await enter(open_dialler(settings, db, in_force.current, lines, archive.workflows, calls_back))
        dialler.know_spending(after_call.budgets)
        talks.refuses = after_call.budgets.refuses
        repeats = await enter(purging(RepeatStore(db)))
        purge = Purge(db, archive.recordings, settings.audit_days)
        await enter(purging_expired(purge, partial(retentions_of, in_force), settings.data_dir))
        await enter(archive.at_work(rescue.watch_rows))
        yield Services(
            settings=settings,
            database=db,
            agents=agents,
            in_force=in_force,
            agent_desk=AgentDesk(in_force),
            store=store,
            log_writer=log,
            news=News(log, colleagues),
            live=live,
            answering=answering,
            run_stream=answering.run_stream,
            token_secret=secret,
            talks=talks,
            instance=name,
            rescue=rescue,
            sweeper=archive.sweeper,
            dialler=dialler,
            keys=KeyStore(db),
            audit=Audit(AuditStore(db), secret, settings.trusted_proxies),
            gate=await enter(open_gate(settings, secret, time.time)),
            repeats=repeats,
            after_call=after_call,
            transfers=desk,
            recordings=archive.recordings,
            do_not_call=unwanted,
            eraser=Eraser(db, archive.recordings, archive.backlog),
            sentences=sentences,
            tracer=tracer,
            colleagues=colleagues,
        )

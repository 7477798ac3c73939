"""All checks, in the order in which their failures would be met."""

from collections.abc import Callable, Sequence
from pathlib import Path

from config.agent import AgentConfig
from config.agents_folder import AgentCatalog
from config.routing import Routing
from config.settings import Settings
from doctor.address_checks import check_address
from doctor.agent_checks import check_ladders, check_models, check_sentences
from doctor.bucket_checks import check_bucket
from doctor.findings import Finding, Grade, ok
from doctor.machine_checks import check_port, check_processes, check_redis, check_room, check_secret_files
from doctor.sealing_checks import check_sealed_rows, check_sealing_keys
from doctor.storage_checks import check_data_folder, check_database
from doctor.twilio_checks import check_account, fallback_documents


async def run_doctor(
    settings: Settings,
    agents: Sequence[AgentConfig],
    found: Sequence[Finding],
    write: Callable[[str], None],
    *,
    routing: Routing | None = None,
    cores: int = 1,
    env_file: Path | None = None,
) -> bool:
    """Check everything, write a line for each finding, then the TwiML for the numbers' fallback URLs.

    `agents` and `routing` are those that can be loaded, `found` what was found while loading them; `cores` is how many
    the server may use, `env_file` where its secrets may stand. Returns whether all is well.
    """
    catalog = AgentCatalog(agents, routing)
    findings = [ok("settings", "they can be used together"), *found]
    findings += await check_secret_files(settings, env_file)
    findings += [await check_port(settings), check_processes(settings, cores)]
    findings.append(await check_room(settings.data_dir))
    findings.append(await check_data_folder(settings.data_dir))
    findings.append(await check_database(settings))
    findings += [await check_sealing_keys(settings), await check_sealed_rows(settings)]
    findings += await check_bucket(settings)
    findings += check_ladders(agents)
    findings += await check_models(settings, agents)
    findings += await check_sentences(settings.data_dir / "sentences", agents)
    findings += await check_redis(settings)
    findings += [*await check_address(settings), *await check_account(settings, catalog)]
    for finding in findings:
        write(str(finding))
    for heading, document in fallback_documents(agents):
        write(f"\nFor the fallback URL of {heading}, where no server of ours is asked (a TwiML Bin at Twilio, say):")
        write(document)
    return all(finding.grade is not Grade.PROBLEM for finding in findings)

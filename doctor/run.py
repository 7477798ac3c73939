"""All checks, in the order in which their failures would be met."""

from collections.abc import Callable, Sequence

from config.agent import AgentConfig
from config.settings import Settings
from doctor.agent_checks import check_ladders, check_models, check_sentences
from doctor.findings import Finding, Grade, ok
from doctor.storage_checks import check_data_folder, check_database
from doctor.twilio_checks import check_account, check_address, fallback_documents


async def run_doctor(
    settings: Settings, agents: Sequence[AgentConfig], found: Sequence[Finding], write: Callable[[str], None]
) -> bool:
    """Check everything, write a line for each finding, then the TwiML for the numbers' fallback URLs.

    `agents` are those that can be loaded, `found` what was found while loading them. Returns whether all is well.
    """
    findings = [ok("settings", "they can be used together"), *found]
    findings.append(await check_data_folder(settings.data_dir))
    findings.append(await check_database(settings))
    findings += check_ladders(agents)
    findings += await check_models(settings, agents)
    findings += await check_sentences(settings.data_dir / "sentences", agents)
    findings += [check_address(settings), await check_account(settings)]
    for finding in findings:
        write(str(finding))
    for heading, document in fallback_documents(agents):
        write(f"\nFor the fallback URL of {heading}, where no server of ours is asked (a TwiML Bin at Twilio, say):")
        write(document)
    return all(finding.grade is not Grade.PROBLEM for finding in findings)

"""Tools around the recording of a call: pause it while somebody reads out a card number, resume it, stop it."""

from pipecat.services.llm_service import FunctionCallParams

from pipelines.tools import resources


async def pause_recording(params: FunctionCallParams) -> None:
    """Pause the recording and the transcript of this call.

    Use it before the caller says or types something that must not be kept, for example a card number, and only ask for
    it when this has returned. Do everything that needs it, such as the payment, before you resume.
    """
    desk = resources(params)
    if desk.recording is None:
        await params.result_callback({"paused": False, "reason": "This call is not recorded."})
        return
    desk.recording.pause()
    limit_secs = round(desk.agent.recording.longest_pause_secs)
    await params.result_callback({"paused": True, "resumes_by_itself_after_secs": limit_secs})


async def resume_recording(params: FunctionCallParams) -> None:
    """Resume the recording and the transcript of this call, once nothing secret is said or done any more."""
    desk = resources(params)
    was_paused = desk.recording is not None and desk.recording.resume()
    await params.result_callback({"resumed": was_paused})


async def stop_recording(params: FunctionCallParams) -> None:
    """Stop the recording of this call for good.

    Use it when the caller asks for that, or takes back his consent. The call goes on without a recording.
    """
    desk = resources(params)
    if desk.recording is None:
        await params.result_callback({"stopped": True, "recording_so_far": "none"})
        return
    is_kept = await desk.recording.withdraw()
    await params.result_callback({"stopped": True, "recording_so_far": "kept" if is_kept else "deleted"})

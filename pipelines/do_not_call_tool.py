"""The tool `stop_calling`: the person on the phone does not wish to be called again, and is not."""

from loguru import logger
from pipecat.services.llm_service import FunctionCallParams

from pipelines.tool_failures import RefusalKind, ToolRefused
from pipelines.tools import resources
from transcripts.call import Direction


async def stop_calling(params: FunctionCallParams) -> None:
    """Have the person on the phone never called again, when he says that he does not wish it.

    Do not talk him out of it and ask for no reason. When this has returned, confirm to him that his number will not be
    called any more, apologise, and say goodbye.
    """
    desk = resources(params)
    number = desk.call.to_number if desk.call.direction is Direction.OUTBOUND else desk.call.from_number
    if number is None or not number.startswith("+") or desk.do_not_call is None:
        raise ToolRefused(RefusalKind.NOT_POSSIBLE, "There is no number here that anybody could call.")
    try:
        is_written = await desk.do_not_call.promise(number, desk.call.call_id)
    except OSError as error:
        logger.bind(call_id=desk.call.call_id, problem=str(error)).error("a wish not to be called cannot be kept")
        told = "It could not be written down now. Say so, apologise, and ask him to tell us once more at another time."
        raise ToolRefused(RefusalKind.NOT_POSSIBLE, told) from error
    desk.scribe.event("do_not_call.entered", is_written=is_written)
    await params.result_callback({"entered": True, "now": "Confirm to him that he is not called again; say goodbye."})

"""The bots: one file each. `load_bots` imports them all, or says which one cannot be and what cures it."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

from pipelines import AnyBot, Bot, GuestBot


class BotErrors(Exception):
    """Some bot files cannot be used; str() is one line per file, with the cure."""


def load_bots(folder: Path) -> dict[str, AnyBot]:
    """Import every `*.py` in `folder`; returns file name -> bot.

    Raises:
        BotErrors: a file does not import, or defines neither `bot = Bot(...)` nor `async def bot(runner_args)`.
    """
    found: dict[str, AnyBot] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.py")):
        if path.stem.startswith("_"):
            continue
        try:
            found[path.stem] = _bot_of(path)
        except BotErrors as problem:
            problems.append(str(problem))
    if problems:
        raise BotErrors("\n".join(problems))
    return found


def _bot_of(path: Path) -> AnyBot:
    try:
        module = _import(path)
    except Exception as error:
        # A bot file is somebody else's code: whatever it raises, the answer is one line that names the place.
        line = _line_of(error, path)
        raise BotErrors(
            f"{path}:{line}: does not import: {type(error).__name__}: {error}; correct that line"
        ) from error
    bot = getattr(module, "bot", None)
    if isinstance(bot, Bot):
        return bot
    if inspect.iscoroutinefunction(bot):
        return GuestBot(path.stem, bot)
    raise BotErrors(
        f"{path}: defines no bot; write `bot = Bot(tools=[...])`, or `async def bot(runner_args)` for Pipecat's runner"
    )


def _import(path: Path) -> ModuleType:
    name = f"bots.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot read {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _line_of(error: BaseException, path: Path) -> int:
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    trace, line = error.__traceback__, 1
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line

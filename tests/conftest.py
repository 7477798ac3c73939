"""For every test: only what went wrong is logged. Pipecat's debug lines alone would cost a call a tenth of a core."""

import sys

from loguru import logger

logger.remove()
logger.add(lambda line: sys.stderr.write(line), level="WARNING", format="{time:HH:mm:ss.SSS} {level} {name}: {message}")

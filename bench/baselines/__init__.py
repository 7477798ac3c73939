"""What Trunkline is measured against: a bridge written by hand, and the bot that `pipecat init` writes."""

"""The verbs of the command line that come in groups."""

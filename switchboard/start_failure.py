"""A server that does not come up."""


class CannotStart(Exception):
    """What to tell the operator, and what to exit with: 2 for the configuration, 3 for the database."""

    def __init__(self, problem: str, exit_code: int) -> None:
        """Take one line for each problem, and the exit code."""
        super().__init__(problem)
        self.exit_code = exit_code

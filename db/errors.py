"""Errors that a user meets. Each says who speaks, what was got, what is allowed, and the remedy."""


class HvenError(Exception):
    """Root of all errors that end a command with a message instead of a traceback.

    Parameters
    ----------
    problem : str
        Who speaks, what was got and what is allowed, in one sentence without a final stop.
    remedy : str
        What the reader can do about it, in one sentence without a final stop.
    """

    exit_status = 1

    def __init__(self, problem: str, remedy: str):
        super().__init__(f"{problem}. Remedy: {remedy}.")
        self.problem = problem
        self.remedy = remedy


def reason(error: Exception) -> str:
    """Return why something failed, without numbers of the system and names that the message has already."""
    return getattr(error, "strerror", None) or str(error)

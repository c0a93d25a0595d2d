"""The error that Level 3 ends with."""

from db.errors import HvenError


class Level3Error(HvenError):
    """A space, table, file or query of a user's can't be handled as asked."""

    exit_status = 30

"""Bad input that ends one detector's work with a stated condition, while the next detector goes on."""

from db.errors import HvenError


class BadInput(HvenError):
    """An exposure that cannot be processed; `condition` is the name under which SDQA records it."""

    exit_status = 65
    condition = "bad_input"

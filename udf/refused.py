"""How the Python of a function refuses what it is given."""


class RefusedError(ValueError):
    """SQLSTATE, problem and remedy; the function that refuses puts its name before the problem."""

    def __init__(self, code, problem, remedy):
        super().__init__(problem)
        self.code, self.remedy = code, remedy

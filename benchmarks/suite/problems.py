"""What is wrong with a request."""


class RequestProblems(ValueError):
    """Everything that is wrong with a request, as one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))

"""Errors of requests: an HTTP status and a message.

Values of the request are quoted by `reprlib.repr`, which is short whatever they are.
"""


class Refused(Exception):
    """A request is refused; the message is for its sender."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Overloaded(Refused):
    """The queue or the memory is full; the client may retry."""

    def __init__(self, message: str) -> None:
        super().__init__(503, message)

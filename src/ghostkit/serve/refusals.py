"""Why a request gets no answer: an HTTP status, and a sentence.

A value that a request has stands there as `reprlib.repr` gives it, which is short whatever it is.
"""


class Refused(Exception):
    """A request is refused; the message is for its sender."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Overloaded(Refused):
    """There is more to do than may wait; the sender may try again."""

    def __init__(self, message: str) -> None:
        super().__init__(503, message)

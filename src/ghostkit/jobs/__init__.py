"""A job: many pictures into one output, which can be stopped at any moment and gone on with.

`answers` gives one prediction per picture of the sources, `Output` is where they go and knows what
an earlier run has put there, `Stop` is a request to end. Called by `ghostkit predict`.
"""

from ghostkit.jobs.answers import answers
from ghostkit.jobs.output import Output
from ghostkit.jobs.record import Record
from ghostkit.jobs.stop import Stop

__all__ = ["Output", "Record", "Stop", "answers"]

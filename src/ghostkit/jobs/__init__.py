"""A job: many pictures into one output, which can be stopped at any moment and resumed.

`answers` gives one prediction per picture of the sources, `Output` stores them and knows what an
earlier run has stored, `Stop` is a request to end.
"""

from ghostkit.jobs.answers import answers
from ghostkit.jobs.output import Output
from ghostkit.jobs.record import Record
from ghostkit.jobs.stop import Stop

__all__ = ["Output", "Record", "Stop", "answers"]

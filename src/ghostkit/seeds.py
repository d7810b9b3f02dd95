"""The seed where nobody names one; apart, for a training and what splits its data must agree.

It imports nothing, as the command line's help needs it.
"""

DEFAULT_SEED = 42

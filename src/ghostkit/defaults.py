"""Defaults that both the command line's help and the library name.

It imports nothing, so that the help stays quick.
"""

DEFAULT_SEED = 42  # of a training, and of the split of its data: both must agree

VERIFY_TOLERANCE = 1e-4  # of a probability; float32 runtimes stay far below
EXPORT_TOLERANCE = 1e-4  # of the largest logit magnitude; float32 runtimes differ by about 1e-6

DEFAULT_CHIP = "Ascend310"  # what ATC compiles for

# Of a server:
PICTURE_MIB = 64  # the largest picture file, on the command line too
MEGAPIXELS = 89.478485  # of a picture, where it is decoded; beyond them Pillow warns
REQUEST_MIB = 256  # the largest request
REQUESTS_AT_ONCE = 4  # of the largest ones, that fit in together
WAITING_PICTURES = 256  # of each model, that no thread has taken yet
ANSWER_S = 30.0  # from a request to its answer
KEEP_ALIVE_S = 75  # of silence before the next request of a connection; proxies keep 60
DRAIN_S = 3.0  # in which it still takes requests after SIGTERM

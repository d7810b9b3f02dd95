"""A job's pictures answered by a Ray cluster. Needs the extra ``ray``.

`parts` cuts the sources, `worker` answers one part on any node, `engine` is all that knows Ray,
`folder` keeps part files. Called by ``ghostkit predict --engine ray``. The engine that places,
scales and repeats work is Ray Data.
"""

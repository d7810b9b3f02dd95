"""A job's pictures answered by a Ray cluster. Needs the extra ``ray``.

`parts` cuts the sources, `worker` classifies one part on any node, `folder` stores part files.
`engine` is the only module that knows Ray; Ray Data schedules, scales and retries the work.
"""

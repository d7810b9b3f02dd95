"""Models behind HTTP. Needs the extra ``serve``, but for `client`.

`app` has the addresses, `protocol` reads and writes the Open Inference Protocol with its `tensors`,
`uploads` plain files; `batcher` answers what waits, on threads, and `admission` says how much may.
`running` opens the port. `client` is the other side: a server's model as a classifier, for
``ghostkit verify``.
"""

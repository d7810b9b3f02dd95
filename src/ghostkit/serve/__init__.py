"""Models behind HTTP. Needs the extra ``serve``, but for `client`.

`app` has the addresses, `protocol` reads and writes the Open Inference Protocol with its `tensors`,
`uploads` plain files; `batcher` answers what waits, on threads. `admission` says how much may, with
`json_cost` for what JSON becomes. `running` opens the port, `connections` bounds those that are
open; `health` says whether a model answers, `request_log` what became of a request. `client` is the
other side: a server's model as a classifier, for ``ghostkit verify``.
"""

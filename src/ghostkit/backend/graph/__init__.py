"""ONNX graphs, changed in memory before ONNX Runtime opens them, without the `onnx` package.

`protobuf`, `onnx_proto`: bytes to fields and back. `tensors`, `nodes`: to constants and operators.
`folding` puts the host's work into a graph. `arranging` makes it compute faster here: it calls
`batch_norms`, `splitting` and `alignment`, which ask `convolution`.
"""

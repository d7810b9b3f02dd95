"""What the names of model files end in."""

ONNX = ".onnx"
COMPILED = ".om"  # by ATC, for Ascend
OPENVINO = ".xml"  # and anything else: boxes beside photos
CHECKPOINT = ".pth.tar"  # as ghostkit writes it
SAFETENSORS = ".safetensors"

CHECKPOINTS = (CHECKPOINT, ".pth", ".pt", ".tar", SAFETENSORS)  # archives of pictures are .tar too
MODELS = (ONNX, COMPILED, OPENVINO, *CHECKPOINTS)
LEFT_BEHIND = (ONNX, COMPILED, OPENVINO, CHECKPOINT, SAFETENSORS)  # by a run, a conversion

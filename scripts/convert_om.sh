#!/bin/bash
# The convert_om.sh of GhostNet for PyTorch: same three arguments, same first lines, same file at the
# end. In between ghostkit checks model, card and AIPP file, calls ATC, and checks what it wrote.
# SOC_VERSION in the environment names another chip than Ascend310.
if [ $# -ne 3 ]; then
    echo "Wrong parameter format."
    echo "Usage:"
    echo "         bash $0 INPUT_ONNX_PATH AIPP_PATH OUTPUT_OM_PATH_NAME"
    echo "Example: bash $0 model_best.onnx ghostnet_aipp.cfg ghostnet"
    exit 1
fi
echo "Input AIR file path: $1"
echo "Output OM file path: $3"
exec ghostkit convert "$1" --to om --aipp "$2" --output "$3" --soc "${SOC_VERSION:-Ascend310}" --overwrite

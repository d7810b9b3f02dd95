#!/bin/bash
# The infer/sdk/run.sh of GhostNet for PyTorch: IMAGE_DIR RESULT_DIR, the pipeline in ../data, called in
# infer/sdk. Its variables of the SDK are not needed. Unlike it, a failed picture is seen in the exit status.
# PIPELINE in the environment names another file.
if [ $# -ne 2 ]; then
    echo "Usage: bash $0 IMAGE_DIR RESULT_DIR"
    exit 1
fi
exec ghostkit pipeline "${PIPELINE:-../data/ghostnet.pipeline}" "$1" "$2" --overwrite

#!/usr/bin/env bash
# From nothing to a deployed classifier: clone this repository into an empty folder and time each
# part; prints seconds and the size of the environment with and without torch.
#
#   bash reliability/fresh_clone.sh [EMPTY_FOLDER]
set -euo pipefail
repository=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
folder=${1:-$(mktemp -d)}
python=${PYTHON:-python3}

timed() { # timed NAME COMMAND...
    local name=$1 began=$SECONDS
    shift
    "$@"
    printf 'TIME %-28s %5d s\n' "$name" $((SECONDS - began))
}

git clone --quiet "$repository" "$folder/ghostkit"
cd "$folder/ghostkit"
timed "make .venv (install)" make .venv/.ready
timed "make demo" make demo
timed "make check" make check
timed "make test" make test
printf 'SIZE %-28s %5d MiB\n' "environment of make" "$(du -sm .venv | cut -f1)"

"$python" -m venv "$folder/base"
timed "pip install . (base)" "$folder/base/bin/pip" install --quiet --constraint pinned.txt .
printf 'SIZE %-28s %5d MiB\n' "environment, base" "$(du -sm "$folder/base" | cut -f1)"
"$folder/base/bin/ghostkit" predict runs/demo/model.onnx runs/demo/photos/test -o "$folder/results.jsonl"
"$folder/base/bin/ghostkit" evaluate runs/demo/model.onnx runs/demo/photos/test

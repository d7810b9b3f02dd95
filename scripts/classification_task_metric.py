"""The infer/util/classification_task_metric.py of GhostNet for PyTorch: its four arguments.

python classification_task_metric.py result/ val_label.txt ./ result.json
"""

import sys

EXPECTED = 4

if __name__ == "__main__":
    if len(sys.argv) <= EXPECTED:
        print(f"Please enter right number of argmuments, expected {EXPECTED}!")  # sic
        sys.exit(1)
    from ghostkit.cli import run

    sys.exit(run(["score", *sys.argv[1 : EXPECTED + 1]]))

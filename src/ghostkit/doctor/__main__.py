"""``python -m ghostkit.doctor``: `ghostkit doctor` where even the command line does not start."""

import sys

from ghostkit.doctor import diagnose, report

if __name__ == "__main__":
    sys.exit(report(diagnose()))

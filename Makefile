# make demo | test | check | format | size      (a fresh machine needs Python 3.11+ and make, no more)
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test check format size

demo: $(READY)
	$(BIN)/ghostkit demo --output runs/demo

test: $(READY)
	$(BIN)/pytest -m "not slow"
	$(BIN)/pytest -m slow || [ $$? -eq 5 ]   # 5: there is no slow test, which is no failure

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

size:
	@find src -name '*.py' | xargs wc -l | sort -n

# pinned.txt holds the versions that the published numbers were measured with; torch's pin matters most,
# since an open range may bring a CUDA build of several gigabytes.
$(READY): pyproject.toml pinned.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ghostkit needs Python 3.11 or newer; found " + sys.version.split()[0] + "; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint pinned.txt --editable ".[train,dev]"
	touch $@

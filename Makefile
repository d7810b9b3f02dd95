# make demo | test | check | format | size | bench      (a fresh machine needs Python 3.11+ and make, no more)
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test check format size bench

demo: $(READY)
	$(BIN)/ghostkit demo --output runs/demo

test: $(READY)
	$(BIN)/pytest -m "not slow" --numprocesses auto --dist loadfile
	$(BIN)/pytest -m slow --numprocesses auto --dist loadfile || [ $$? -eq 5 ]   # 5: there is no slow test, which is no failure

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

# Beside its peers: make bench PHOTOS=folder PEER=env/bin/python INT8=int8.onnx, all of which may be left out.
PEER ?= .venv-bench/bin/python
bench: $(READY) $(PEER)
	$(BIN)/python benchmarks/inference.py --peer-python $(PEER) $(if $(PHOTOS),--photos $(PHOTOS)) \
		$(if $(INT8),--int8 $(INT8)) --json runs/bench.json

.venv-bench/bin/python:
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --constraint pinned.txt timm==1.0.31 torchvision || rm -r .venv-bench
	test -x $@

# pinned.txt holds the versions that the published numbers were measured with; torch's pin matters most,
# since an open range may bring a CUDA build of several gigabytes.
$(READY): pyproject.toml pinned.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ghostkit needs Python 3.11 or newer; found " + sys.version.split()[0] + "; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint pinned.txt --editable ".[train,convert,openvino-int8,mindx,parquet,cloud,ray,serve,dev]"
	touch $@

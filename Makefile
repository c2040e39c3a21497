# Two commands for newcomers: make demo, make test. Everything else serves them.
PY ?= python3.11
TORCH ?= torch==2.13.0
V := .venv/bin
export UV_SYSTEM_CERTS := 1
export UV_COMPILE_BYTECODE := 1

.PHONY: env demo test lint clean unlock
env: .venv/ok

.venv/ok: pyproject.toml requirements/lock.txt requirements/uv.txt requirements/face.txt
	@echo "setting up .venv (about a minute with a fast network)"
	@rm -f $@
	$(PY) -m venv .venv
	$(V)/python -m pip install -qq --require-hashes --no-deps -r requirements/uv.txt
	$(V)/uv pip install -q -p .venv --no-deps --require-hashes -r requirements/lock.txt
	$(V)/python -m pip install -qq "$(TORCH)"
	$(V)/uv pip install -q -p .venv --no-deps --no-build-isolation -e .
	$(V)/uv pip check -q -p .venv
	$(V)/uv pip install -q -p .venv --no-deps --require-hashes -r requirements/face.txt
	@touch $@

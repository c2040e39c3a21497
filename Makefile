# Two commands for newcomers: make demo, make test. Everything else serves them.
PY ?= python3.11
TORCH ?= torch==2.13.0
V := .venv/bin
export UV_SYSTEM_CERTS := 1
export UV_COMPILE_BYTECODE := 1

.PHONY: env ocr demo test lint format clean schema
env: .venv/ok

.venv/ok: requirements/lock.txt requirements/uv.txt requirements/face.txt
	@echo "setting up .venv (about a minute with a fast network)"
	@rm -f $@
	$(PY) -m venv .venv
	$(V)/python -m pip install -qq --require-hashes --no-deps -r requirements/uv.txt
	$(V)/uv pip install -q -p .venv --no-deps --require-hashes -r requirements/lock.txt
	$(V)/python -m pip install -qq "$(TORCH)"
	$(V)/uv pip install -q -p .venv --no-deps --no-build-isolation -e .
	@$(V)/uv pip uninstall -q -p .venv pydeface 2>/dev/null || true
	$(V)/uv pip check -q -p .venv
	$(V)/uv pip install -q -p .venv --no-deps --require-hashes -r requirements/face.txt
	@touch $@

# Text recognition for names burned into pixels: 400 MB more, in the same environment. Without it risky images are
# quarantined.
ocr: env
	$(V)/uv pip install -q -p .venv --no-deps --require-hashes -r requirements/ocr.txt

# The demo: simulated patients, from raw hospital files to the report. A second call finds nothing to do.
demo: env
	@$(V)/scanprior demo data/demo/raw
	@$(V)/scanprior run config/demo.yaml --cores 2

# All tests. Browser tests need Debian's chromium: installed when we may, else they are skipped with a sentence.
test: env
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
	  echo "no chromium here: the browser tests will be skipped"; }
	$(V)/python -m pytest

lint: env
	$(V)/ruff check .
	$(V)/ruff format --check .
	$(V)/basedpyright
	$(V)/lint-imports
	$(V)/snakefmt --check Snakefile workflow
	$(V)/mkdocs build -q --strict -d .venv/site

format: env
	$(V)/ruff check --fix .
	$(V)/ruff format .
	$(V)/snakefmt Snakefile workflow

clean:
	rm -rf results work logs .snakemake data/demo/raw data/demo/raw-truth

schema: env
	$(V)/python docs/make_reference.py

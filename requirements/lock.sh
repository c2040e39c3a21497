#!/usr/bin/env bash
# Writes requirements/lock.txt anew from pyproject.toml: every dependency and extra, pinned and hashed, for Python 3.11.
# torch and what only its CUDA build needs stay out: the CPU and the GPU build of one version differ in hash, and pip
# picks the right one (Makefile). What text recognition needs beyond it goes into requirements/ocr.txt. Run it after
# every change of a dependency: .venv/bin must hold uv (make env).
set -euo pipefail
cd "$(dirname "$0")/.."
every=$(mktemp)
more=$(mktemp)
trap 'rm -f "$every" "$more"' EXIT
compile() {
    .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header "$@"
}
compile --extra slurm --extra dev pyproject.toml -o "$every"
awk '/^[A-Za-z0-9]/{keep = !($0 ~ /^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z-]+)==/)} keep' "$every" > requirements/lock.txt
# The same without hashes, for conda's environment.yml (a constraints file with hashes would ask for them everywhere).
sed -n 's/^\([A-Za-z0-9][^\\]*[^\\ ]\) *\\*$/\1/p' requirements/lock.txt > requirements/constraints.txt
# Text recognition: the same versions of what both need, and only what the lock lacks.
compile --extra slurm --extra dev --extra ocr -c requirements/constraints.txt pyproject.toml -o "$more"
awk 'NR == FNR {if (/^[A-Za-z0-9]/) {split($1, a, "=="); known[a[1]]} next}
     /^[A-Za-z0-9]/ {split($1, b, "=="); keep = !(b[1] in known)} keep' "$every" "$more" > requirements/ocr.txt

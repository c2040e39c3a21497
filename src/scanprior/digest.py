"""Digests of code (what a stage's module and all that it imports amount to, without comments and docstrings), of files and of values."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

SOURCE = Path(__file__).parent.parent
CACHE = Path(__file__).parent / "__pycache__" / f"code.{sys.implementation.cache_tag}.json"


def sources(module: str) -> dict[str, Path]:
    """Every scanprior module that `module` imports, transitively and itself included, with its file.

    Imports inside functions count; importing `a.b.c` also runs the `__init__` of `a` and `a.b`, so these count too.
    A name imported as a string does not: that is how the package keeps `load_prior` lazy.
    """
    found: dict[str, Path] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        file = _file(name)
        if file is None:
            raise ModuleNotFoundError(f"code digest: {name} is no module of scanprior")
        found[name] = file
        parts = name.split(".")
        todo += [".".join(parts[:depth]) for depth in range(1, len(parts))]
        todo += [target for target in _imports(name, file) if target.split(".")[0] == "scanprior"]
    return found


def _file(name: str) -> Path | None:
    """The file of a scanprior module, found without importing anything."""
    stem = SOURCE.joinpath(*name.split("."))
    for candidate in (stem / "__init__.py", stem.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def _imports(name: str, file: Path) -> list[str]:
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    targets: list[str] = []
    for level, module, names in _read(file).imports:
        if level:
            anchor = package.split(".")[: len(package.split(".")) - level + 1]
            module = ".".join([*anchor, *([module] if module else [])])
        targets += [full for full in (module, *(f"{module}.{name}" for name in names)) if _file(full)]
    return targets


@cache
def code_digest(module: str) -> str:
    """16 hex digits over the code of `module` and what it imports; comments, docstrings and layout don't count.

    A file that lies beside a module (a table, a template) counts when the module's code names it or its folder.
    """
    before, digest = len(_known()), hashlib.sha256()
    for name, file in sorted(sources(module).items()):
        parsed = _read(file)
        digest.update(f"{name}\0{parsed.code}\0".encode())
        for data in _beside(file.parent):
            if set(parsed.words) & set(data.relative_to(file.parent).parts):
                digest.update(data.relative_to(SOURCE).as_posix().encode() + b"\0" + data.read_bytes() + b"\0")
    if len(_known()) > before:
        _keep(_known())
    return digest.hexdigest()[:16]


class _Parsed(NamedTuple):
    """What the text of one module amounts to."""

    code: str  # sha256 of its syntax tree without docstrings
    imports: list[tuple[int, str, list[str]]]  # level, module and names of `from … import …`; no names after `import …`
    words: list[str]  # parts of its string constants that may name a file or a folder


@cache
def _read(file: Path) -> _Parsed:
    content = file.read_bytes()
    stamp = hashlib.sha256(content).hexdigest()
    known = _known()
    if stamp not in known:
        known[stamp] = _parse(content)
    return _Parsed(*known[stamp])


def _parse(content: bytes) -> _Parsed:
    tree = ast.parse(content)
    imports: list[tuple[int, str, list[str]]] = []
    words: set[str] = set()
    docstrings: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", [alias.name for alias in node.names]))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            words.update(part for part in node.value.split("/") if " " not in part)
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            docstrings.update(ast.walk(node.body.pop(0)))
    return _Parsed(hashlib.sha256(ast.dump(tree, annotate_fields=False).encode()).hexdigest(), imports, sorted(words))


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


@cache
def _known() -> dict[str, _Parsed]:
    """What earlier processes parsed, by the sha256 of the text: every stage asks for its digest before it works."""
    try:
        kept = json.loads(CACHE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(kept, dict) and kept.get("by") == file_digest(Path(__file__))
    return kept["parsed"] if ours else {}


def _keep(known: dict[str, _Parsed]) -> None:
    """Write it down where Python keeps compiled code, for this version of Python and of this file."""
    whole = CACHE.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # a read-only installation parses anew each time
        whole.write_text(json.dumps({"by": file_digest(Path(__file__)), "parsed": known}), encoding="utf-8")
        whole.replace(CACHE)


@cache
def _beside(folder: Path) -> list[Path]:
    """Files in a package (not in packages below it) that are no code."""
    rooms = {init.parent for init in folder.glob("*/__init__.py")}
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and file.suffix != ".py"
        and file.parent.name != "__pycache__"
        and not rooms & set(file.parents)
    )


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_digest(value: Any) -> str:
    """16 hexadecimal digits for a JSON-plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]

"""Digests of code: what a stage's module and all that it imports amount to, without comments and docstrings."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent


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
    for node in _parsed(file)[1]:
        if isinstance(node, ast.Import):
            targets += [alias.name for alias in node.names if _file(alias.name)]
        else:
            base = node.module or ""
            if node.level:
                anchor = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*anchor, *([base] if base else [])])
            targets += [base] if _file(base) else []
            targets += [full for alias in node.names if _file(full := f"{base}.{alias.name}")]
    return targets


@cache
def code_digest(module: str) -> str:
    """16 hex digits over the code of `module` and what it imports; comments, docstrings and layout don't count.

    A file that lies beside a module (a table, a template) counts when the module's code names it or its folder.
    """
    digest = hashlib.sha256()
    for name, file in sorted(sources(module).items()):
        tree, _ = _parsed(file)
        digest.update(name.encode() + b"\0" + ast.dump(tree).encode() + b"\0")
        for data in _data_files(tree, file.parent):
            digest.update(data.relative_to(SOURCE).as_posix().encode() + b"\0" + data.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _data_files(tree: ast.Module, folder: Path) -> list[Path]:
    """Files in the module's own package (not in packages below it) whose name or folder the code names."""
    rooms = {init.parent for init in folder.glob("*/__init__.py")}
    beside = [
        file
        for file in folder.rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc") and not rooms & set(file.parents)
    ]
    if not beside:
        return []
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    parts = {part for text in named for part in text.split("/")}
    return sorted(file for file in beside if parts & set(file.relative_to(folder).parts))


@cache
def _parsed(file: Path) -> tuple[ast.Module, list[ast.Import | ast.ImportFrom]]:
    """The code of a file without its docstrings, and its imports; in one walk, because every process asks for them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports: list[ast.Import | ast.ImportFrom] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[isinstance(first.value.value, str) :]
    return tree, imports


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

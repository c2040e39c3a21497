"""pyproject.toml, the lock and environment.yml name the same versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

HOUSE = Path(__file__).parent.parent


def declared() -> dict[str, str]:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    lines = (
        project["dependencies"] + project["optional-dependencies"]["slurm"] + project["optional-dependencies"]["dev"]
    )
    return dict(line.lower().split("==") for line in lines)


def locked() -> dict[str, str]:
    text = (HOUSE / "requirements" / "lock.txt").read_text()
    return dict(re.findall(r"^([a-z0-9_.-]+)==([^ ;\\]+)", text.lower(), flags=re.MULTILINE))


def test_every_declared_version_is_locked() -> None:
    lock = locked()
    missing = {name: version for name, version in declared().items() if name != "torch" and lock.get(name) != version}
    assert not missing, "run requirements/lock.sh"


def test_torch_is_pinned_by_the_makefile_alone() -> None:
    assert "torch" not in locked()
    assert f"torch=={declared()['torch']}" in (HOUSE / "Makefile").read_text()


def test_every_locked_file_has_a_hash() -> None:
    text = (HOUSE / "requirements" / "lock.txt").read_text()
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[a-zA-Z0-9])", text.strip()))


def test_conda_gives_the_same_versions() -> None:
    environment = yaml.safe_load((HOUSE / "environment.yml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    pinned = dict(line.lower().split("==") for line in pip if "==" in line)
    assert pinned == declared()
    constraints = (HOUSE / "requirements" / "constraints.txt").read_text().lower()
    wrong = [name for name, version in locked().items() if f"{name}=={version}" not in constraints]
    assert not wrong


def test_no_registry_is_named() -> None:
    for name in ("lock.txt", "constraints.txt", "uv.txt", "face.txt", "ocr.txt"):
        text = (HOUSE / "requirements" / name).read_text()
        assert "://" not in text and "index" not in text.replace("importlib", "")

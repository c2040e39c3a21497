"""Reading a study file: every mistake at once, each with its place, what was found and what is allowed."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from scanprior.config import PatientTask, StudyConfig, VoxelTask
from scanprior.errors import ConfigError


def load_config(path: Path) -> StudyConfig:
    """Read and check a study file.

    Raises:
        ConfigError: with every problem at once: its place in the file, what was found, what is allowed, the nearest name.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.yaml")], n=1, cutoff=0.5)
        hint = f"did you mean {path.parent / near[0]}?" if near else "scanprior init FOLDER writes a study file"
        raise ConfigError(f"there is no study file {path}", hint=hint) from None
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"the study file {path} can't be read as text", hint="it must be a YAML file in UTF-8"
        ) from None
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: this is not YAML ({getattr(error, 'problem', 'broken')})") from None
    if not isinstance(raw, dict):
        raise ConfigError(
            f"{path}: a study file is a list of keys (study, cohort, task, …), found {type(raw).__name__}"
        )
    problems: list[str] = []
    expanded = _expand(raw, "", problems)
    config: StudyConfig | None = None
    try:
        config = StudyConfig.model_validate(expanded)
    except ValidationError as error:
        problems += _sentences(error, expanded)
    if config is None or problems:
        listed = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(problems, 1))
        raise ConfigError(
            f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''}\n{listed}",
            hint="mend the file and run: scanprior check " + str(path),
        )
    return config


def _expand(value: Any, where: str, problems: list[str]) -> Any:
    """Replace ${NAME} in every string; a variable that is not set is a problem."""
    if isinstance(value, dict):
        return {key: _expand(item, f"{where}.{key}" if where else str(key), problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, f"{where}[{index}]", problems) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    for name in re.findall(r"\$\{(\w+)\}", value):
        if name not in os.environ:
            problems.append(f"{where}: the environment variable {name} is not set; export it or write the path out")
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], match[0]), value)


def _sentences(error: ValidationError, raw: dict[str, Any]) -> list[str]:
    """One sentence for each of pydantic's errors."""
    sentences: list[str] = []
    for item in error.errors(include_url=False):
        place = [part for part in item["loc"] if part not in ("patient", "voxel") or item["loc"].index(part) == 0]
        where = ".".join(str(part) for part in place)
        if item["type"] == "extra_forbidden":
            allowed = _keys_at(place[:-1], raw)
            near = difflib.get_close_matches(str(place[-1]), allowed, n=1, cutoff=0.5)
            guess = f"did you mean {near[0]}? " if near else ""
            sentences.append(f"{where}: unknown key; {guess}allowed here: {', '.join(allowed)}")
            continue
        if item["type"] == "missing":
            sentences.append(f"{where}: is missing and has no default")
            continue
        if item["type"] == "value_error":
            text = str(item["ctx"]["error"]) if "ctx" in item else item["msg"]
            sentences += [f"{where}.{line}" if where else line for line in text.split("\n")]
            continue
        found = _found(place, raw)
        message = item["msg"][0].lower() + item["msg"][1:]
        expected = str(item.get("ctx", {}).get("expected", ""))
        near = difflib.get_close_matches(str(found), re.findall(r"'([^']+)'", expected), n=1, cutoff=0.5)
        guess = f"; did you mean {near[0]}?" if near else ""
        shown = "" if place and place[0] == "cohort" else f"found {found!r}: "
        sentences.append(f"{where}: {shown}{message}{guess}")
    return sentences


def _found(place: list[Any], raw: Any) -> Any:
    for part in place:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _keys_at(place: list[Any], raw: dict[str, Any]) -> list[str]:
    """The keys that the models allow at `place`."""
    model: Any = StudyConfig
    for part in place:
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or part not in model.model_fields:
            return []
        model = _model_of(model.model_fields[part].annotation, raw.get("task", {}) if part == "task" else {})
    return sorted(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _model_of(annotation: Any, task: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        kind = task.get("kind") if isinstance(task, dict) else None
        return VoxelTask if kind == "voxel" else PatientTask
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation

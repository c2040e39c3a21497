"""Write the two reference pages and the JSON schema from the code itself: `make schema` (a test keeps them fresh)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from scanprior.cli import app
from scanprior.config import PatientTask, Section, StudyConfig, VoxelTask

HOUSE = Path(__file__).parent.parent
SECTIONS = {"cohort": "Cohort", "task": "", "privacy": "Privacy", "prepare": "Prepare", "patches": "Patches",
            "prior": "PriorConfig", "evaluation": "Evaluation", "engine": "Engine"}  # fmt: skip


def study_file() -> str:
    """The page on the study file: one table per section, from the models."""
    lines = ["# The study file", "",
             "One YAML file per study. Every key has a default but `study`, `cohort.scans` and `task`; unknown keys are refused, and all",
             "problems are reported at once. `${VARIABLES}` are expanded. `config/schema.json` lets editors complete the keys.", "",
             "A relative path is looked for below the working folder, then beside the scans, then beside the study file.", ""]  # fmt: skip
    lines += _table("Top level", StudyConfig, skip=set(SECTIONS))
    for name, field in StudyConfig.model_fields.items():
        if name == "task":
            lines += _table("task, kind: patient", PatientTask) + _table("task, kind: voxel", VoxelTask)
        elif name in SECTIONS:
            model: Any = field.annotation
            lines += _table(name, model)
            if name == "cohort":
                lines += _table("cohort.columns", model.model_fields["columns"].annotation)
    return "\n".join(lines)


def _table(title: str, model: type[Section], skip: set[str] | None = None) -> list[str]:
    rows = [f"## {title}", "", (model.__doc__ or "").split("\n")[0], "", "| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if name in (skip or set()):
            continue
        default = (
            "required"
            if field.default is PydanticUndefined and field.default_factory is None
            else field.get_default(call_default_factory=True)
        )
        if isinstance(default, BaseModel):
            default = "see below"
        shown = default if isinstance(default, str) else json.dumps(default)
        rows.append(
            f"| `{name}` | {shown} | {(field.description or _allowed(field.annotation)).replace('|', ' or ')} |"
        )
    return [*rows, ""]


def _allowed(annotation: Any) -> str:
    arguments = getattr(annotation, "__args__", ())
    return (
        "one of " + ", ".join(str(a) for a in arguments)
        if arguments and all(isinstance(a, str) for a in arguments)
        else ""
    )


def commands() -> str:
    """The page on the commands: each command's own help."""
    lines = [
        "# Commands",
        "",
        "Exit codes: 0 done, 1 the study failed, 2 wrong usage or a problem in the study file or cohort.",
        "",
    ]
    group: Any = typer.main.get_command(app)
    for name in group.commands:
        command = group.commands[name]
        lines += [f"## scanprior {name}", "", *_paragraphs(command.help or ""), "| option | meaning |", "|---|---|"]
        for option in command.params:
            if getattr(option, "hidden", False) or option.name == "help":
                continue
            label = (
                ", ".join(option.opts)
                if option.param_type_name == "option"
                else str(option.metavar or option.name).upper()
            )
            lines.append(f"| `{label}` | {(getattr(option, 'help', None) or '').replace('|', ' or ')} |")
        lines.append("")
    return "\n".join(lines)


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("Example: "):
            lines += ["    " + paragraph.removeprefix("Example: ").split("   ")[0].strip(), ""]
        else:
            lines += [" ".join(paragraph.split()), ""]
    return lines


def pages() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    return {
        HOUSE / "docs/reference/study-file.md": study_file().rstrip() + "\n",
        HOUSE / "docs/reference/commands.md": commands().rstrip() + "\n",
        HOUSE / "config/schema.json": json.dumps(StudyConfig.model_json_schema(), indent=1) + "\n",
    }


if __name__ == "__main__":
    stale = [file for file, text in pages().items() if not file.exists() or file.read_text() != text]
    for file in stale:
        file.write_text(pages()[file])
    sys.stdout.write(f"{len(stale)} page(s) written\n")

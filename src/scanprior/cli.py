"""The command line: one function per verb; exit 0 done, 1 study failed, 2 wrong usage or config."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

# One thread per process, before numpy or torch is imported: parallelism is by processes, and the bits stay the same.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it a GPU's products are not the same every time

import typer

from scanprior.errors import ConfigError, ScanpriorError, StageError, explain

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Does unsupervised pretraining help on your own scans, by how much, and how many labels does it save?",
)  # fmt: skip
StudyPath = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="the study file")]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="raw scans: any tree of DICOM, NIfTI or BIDS")],
    labels: Annotated[Path | None, typer.Option(help="label table, CSV or XLSX, one row per patient")] = None,
    name: Annotated[
        str | None,
        typer.Option(help="name of the study, used in file names and the report: not the hospital's; default: study"),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="where to write; default config/NAME.yaml")] = None,
) -> None:
    """Write a study file from what is found in FOLDER: scans, series, label columns, sites.

    Example: scanprior init /data/archive --labels /data/labels.csv --name mystudy
    """
    from scanprior.stages.init import draft

    chosen = name or "study"
    target = output or Path("config") / f"{chosen}.yaml"
    if target.exists():
        raise ConfigError(f"{target} exists already", hint="choose another --name or --output; nothing was overwritten")
    text = draft(folder, labels, chosen)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    print(f"{target} written; read it through, then: scanprior check {target}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})
def run(
    context: typer.Context,
    study: StudyPath,
    cores: Annotated[int, typer.Option(help="processes at a time; default: all cores of this machine")] = 0,
    profile: Annotated[str | None, typer.Option(help="slurm, gpu, or a folder with a Snakemake profile")] = None,
    dry: Annotated[bool, typer.Option("-n", "--dry-run", help="list what would be done")] = False,
) -> None:
    """Run a study from raw scans to the report; goes on where an earlier run stopped.

    Example: scanprior run config/demo.yaml --cores 2        (Snakemake's own arguments follow after --)
    """
    from scanprior import engine

    loaded = _load(study)
    if not dry and not (loaded.results / "index" / "record.json").exists():
        import_module("scanprior.stages.check").feasible(loaded)  # every problem, before any work
    engine.run(loaded, cores=cores or os.cpu_count() or 1, profile=profile, dry=dry, arguments=list(context.args))
    if not dry:
        _say_verdict(loaded)


@app.command()
def stage(
    name: Annotated[str, typer.Argument(metavar="NAME", help="index, split, deidentify, convert, prepare, patches, …")],
    study: StudyPath,
    shard: Annotated[int | None, typer.Option(help="deidentify, convert, prepare: which shard")] = None,
    kind: Annotated[str | None, typer.Option(help="pretrain: the kind of prior, e.g. rectified")] = None,
    context: Annotated[str | None, typer.Option(help="pretrain: all, or d<draw>-f<fold>")] = None,
    way: Annotated[int, typer.Option(help="pretrain: 0, or the number of one of prior.ways", min=0)] = 0,
    arm: Annotated[str | None, typer.Option(help="train: the arm")] = None,
    draw: Annotated[list[int] | None, typer.Option(help="train: the draw; may be repeated")] = None,
    workers: Annotated[int, typer.Option(help="index: processes that read pixels", min=1)] = 1,
) -> None:
    """Run one stage by hand: what the pipeline's rules call.

    Example: scanprior stage train config/demo.yaml --arm dbn --draw 0
    """
    from scanprior import engine
    from scanprior.pipeline import STEPS

    if name not in STEPS:
        raise ConfigError(f"there is no stage {name!r}", hint=f"the stages are {', '.join(STEPS)}")
    given = {"shard": shard, "kind": kind, "context": context, "way": way if kind else None, "arm": arm}
    wildcards: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    loaded = _load(study)
    known = loaded.jobs(name)
    if any(job not in known for job in ([{**wildcards, "draw": one} for one in draw] if draw else [wildcards])):
        jobs = "; ".join(" ".join(f"--{k} {v}" for k, v in job.items()) or "no options" for job in known[:12])
        raise ConfigError(f"{name} has no such job in this study", hint=f"its jobs are: {jobs}")
    if "SCANPRIOR_ENGINE" in os.environ:
        engine.end_with_parent()
    if draw:
        wildcards["draw"] = draw
    if name == "index":
        wildcards["workers"] = workers
    import_module(f"scanprior.stages.{name}").run(loaded, **wildcards)


@app.command()
def check(study: StudyPath) -> None:
    """Check the study file and the cohort: all problems at once, and a forecast of time, memory and disk; no work is done.

    Example: scanprior check config/hippocampus.yaml
    """
    loaded = _load(study)
    from scanprior.stages.check import check as checked

    print(checked(loaded))


@app.command()
def power(study: StudyPath) -> None:
    """Say what gain this cohort could detect at all, before any training.

    Example: scanprior power config/mystudy.yaml
    """
    loaded = _load(study)
    from scanprior.stages.check import power as powered

    print(powered(loaded))


@app.command()
def freeze(study: StudyPath) -> None:
    """Hash the analysis plan before the first result; the report prints the hash and any deviation.

    Example: scanprior freeze config/mystudy.yaml
    """
    loaded = _load(study)
    from scanprior.stages.frozen import freeze as frozen

    print(f"plan frozen, sha256 {frozen(loaded)}")


@app.command()
def deidentify(
    source: Annotated[Path, typer.Argument(metavar="SRC")],
    destination: Annotated[Path, typer.Argument(metavar="DST")],
    key: Annotated[Path, typer.Option(help="key file (scanprior new-key FILE makes one)")],
    profile: Annotated[str, typer.Option(help="basic or research")] = "basic",
    option: Annotated[
        list[str] | None, typer.Option(help="an option of PS3.15 Annex E by its name; may be repeated")
    ] = None,
    faces: Annotated[str, typer.Option(help="auto, remove or keep")] = "auto",
    text: Annotated[str, typer.Option(help="burned-in text: auto, remove or keep")] = "auto",
    pseudonyms: Annotated[str, typer.Option(help="keyed or random (with a crosswalk beside the key)")] = "keyed",
    workers: Annotated[int, typer.Option(help="processes")] = 1,
    describe: Annotated[bool, typer.Option("--describe", help="list what happens to each attribute, and why")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="exit 1 if anything was quarantined")] = False,
) -> None:
    """De-identify a folder of DICOM, NIfTI or BIDS.

    Example: scanprior deidentify raw/ clean/ --key study.key
    """
    from scanprior.stages.deidentify import command

    code = command(source, destination, key=key, profile=profile, options=tuple(option or ()), faces=faces, text=text,
                   pseudonyms=pseudonyms, workers=workers, describe=describe, as_json=as_json, strict=strict)  # fmt: skip
    raise typer.Exit(code)


@app.command()
def verify(
    source: Annotated[Path, typer.Argument(metavar="SRC")],
    destination: Annotated[Path, typer.Argument(metavar="DST")],
    key: Annotated[Path, typer.Option(help="the key that DST was made with")],
    option: Annotated[list[str] | None, typer.Option(help="an option that DST was made with; may be repeated")] = None,
) -> None:
    """Search DST for every original value of SRC; exit 1 when one is found.

    Example: scanprior verify raw/ clean/ --key study.key
    """
    from scanprior.stages.verify import command

    raise typer.Exit(command(source, destination, key=key, options=tuple(option or ())))


@app.command(name="new-key")
def new_key(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Write a fresh project key to FILE, mode 0600.

    Example: scanprior new-key study.key
    """
    from scanprior.privacy import pseudonyms

    pseudonyms.new_key(file)
    print("key written; keep it apart from the data: whoever holds it can tell whose scan is whose")


@app.command()
def track(study: StudyPath, following: Annotated[bool, typer.Option("--follow", hidden=True)] = False) -> None:
    """Rebuild the MLflow store from the study's files.

    Example: scanprior track config/demo.yaml
    """
    from scanprior import tracking

    loaded = _load(study)
    if following:
        tracking.follow(loaded)
        return
    number = tracking.rebuild(loaded)
    print(f"{number} runs written; to look at them: mlflow ui --backend-store-uri {_shown(loaded.tracking_uri)}")


@app.command()
def export(study: StudyPath, folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Export priors (safetensors, model card), splits (nnU-Net's splits_final.json), and report, scores and checklists.

    Example: scanprior export config/demo.yaml exported/
    """
    from scanprior.stages.export import export as exported

    for line in exported(_load(study), folder):
        print(line)


@app.command()
def demo(folder: Annotated[Path | None, typer.Argument(metavar="DIR")] = None) -> None:
    """Build the demo cohort: real anatomy, invented people.

    Example: scanprior demo data/demo/raw
    """
    from scanprior.stages.demo import build

    print(build(folder))


def _load(path: Path) -> Any:
    from scanprior.study import Study

    return Study.load(path)


def _shown(uri: str) -> str:
    return uri.replace(str(Path.cwd()) + "/", "")


def _say_verdict(study: Any) -> None:
    import json

    file = study.results / "verdict.json"
    if not file.is_file():  # only a part was asked for (-- --until index)
        print("no verdict yet; the same command without options of Snakemake goes on")
        return
    verdict = json.loads(file.read_text())
    print(f"report: {(study.results / 'report.html').relative_to(study.house)}")
    print(f"verdict: {verdict['verdict']}. {verdict.get('sentence', '')}")
    if verdict["verdict"] == "stopped":
        raise StageError(
            "a check that must hold in any study has failed, so there is no verdict", hint="read the report"
        )


def main() -> None:
    """Entry point: a known problem is printed as a sentence and a hint, and sets the exit code."""
    try:
        app(standalone_mode=True)
    except ScanpriorError as error:
        if "SCANPRIOR_DEBUG" in os.environ:
            raise
        print(f"scanprior: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:  # a fault of the program: its text, and the paths in a traceback, may name a patient
        if "SCANPRIOR_DEBUG" in os.environ:
            raise
        print(f"scanprior: {explain(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("scanprior: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()

"""Where everything of a study lies, its key, its digests, and its seeds by name."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scanprior.config import StudyConfig
from scanprior.digest import code_digest
from scanprior.errors import ConfigError, ScanpriorError
from scanprior.learning.catalogue import CANARY, PriorKind, canary_of
from scanprior.pipeline import STEPS, job_name
from scanprior.privacy.pseudonyms import new_key, read_key
from scanprior.study_file import load_config

PUBLIC_KEY = hashlib.sha256(b"scanprior: the public key of simulated cohorts").digest()
FOLDERS = ("results", "private", "work", "logs")


@dataclass(frozen=True)
class Study:
    """A study file and the folders that belong to it below `house` (the working folder, where Snakemake runs)."""

    config: StudyConfig
    path: Path
    house: Path

    @classmethod
    def load(cls, path: Path | str) -> Study:
        """Read the study file at `path`.

        Raises:
            ConfigError: every problem of the file at once; or a folder of the house is a link to a disk that is not there.
        """
        house = Path.cwd()
        lost = [f"{name}/" for name in FOLDERS if (house / name).is_symlink() and not (house / name).exists()]
        if lost:
            raise ConfigError(
                f"{' and '.join(lost)} in the working folder: a link to a place that is not there",
                hint="mount its disk, or remove the link; then the same command again",
            )
        return cls(load_config(Path(path)), Path(path), house)

    @property
    def name(self) -> str:
        """The name in the study file, which is also the folder's."""
        return self.config.study

    @property
    def results(self) -> Path:
        """What may be shared: no hospital's id, name or path is ever below it."""
        return self.house / "results" / self.name

    @property
    def private(self) -> Path:
        """Key, crosswalk, source paths and before/after pictures; made with mode 0700."""
        folder = self.house / "private" / self.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.parent.chmod(0o700)
        folder.chmod(0o700)
        return folder

    @property
    def work(self) -> Path:
        """Checkpoints, progress and live logs: survives a kill, may be deleted when nothing runs."""
        return self.house / "work" / self.name

    @property
    def logs(self) -> Path:
        """One log per job, and the engine's."""
        return self.house / "logs" / self.name

    @property
    def tracking_uri(self) -> str:
        """MLflow's store: MLFLOW_TRACKING_URI, or a sqlite file beside the results."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.results / 'mlflow.db'}"

    def folder(self, stage: str, job: str = "") -> Path:
        """The folder of one job's outputs."""
        if stage == "pretrain":
            kind, context = job.split("/")
            context, _, way = context.partition("-way")
            return self.results / self.prior_name(kind, context, int(way or 0))
        return self.results / stage / job if job else self.results / stage

    def prior_name(self, kind: str, context: str, way: int = 0) -> str:
        """`prior` for the study's own hidden kind, way and all draws, else `prior-<kind>[-<context>][-way<number>]`."""
        parts = [kind] + [context] * (context != "all") + [f"way{way}"] * (way != 0)
        return "prior" if parts == [self.config.prior.hidden] else "-".join(("prior", *parts))

    @cached_property
    def key(self) -> bytes:
        """The project key; made on first use. Simulated cohorts may use the public one."""
        file = self.private / "key"
        if self.config.privacy.key == "public":
            return PUBLIC_KEY
        if not file.exists():
            with suppress(ScanpriorError):  # another process made it between the two lines
                new_key(file)
        return read_key(file)

    def seed(self, *names: str | int) -> int:
        """A 32-bit seed for what `names` say, e.g. seed("draw", 7): a hash, so that no seed depends on another's use."""
        text = json.dumps([self.config.seed, *names])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    def locate(self, text: str, what: str) -> Path:
        """A path of the study file: absolute, below the working folder, beside the scans, or beside the study file."""
        given = Path(text).expanduser()
        places = [given] if given.is_absolute() else [
            self.house / given, Path(self.config.cohort.scans).expanduser() / given, self.path.parent / given]  # fmt: skip
        there = {place.resolve(): place for place in reversed(places) if place.exists()}
        if len(there) > 1:
            raise ConfigError(
                f"cohort.{what}: {len(there)} different files or folders fit (in the working folder, beside the scans or beside "
                "the study file)",
                hint="give an absolute path",
            )
        if there:
            return next(iter(there.values()))
        raise ConfigError(
            f"cohort.{what}: nothing is there",
            hint="give an absolute path, or one relative to the working folder, the scans or the study file",
        )

    # --- the jobs of the pipeline -------------------------------------------------------------------------------------

    def contexts(self, draw: int | None = None) -> list[str]:
        """Which priors there are: one for all draws, or one per draw and fold (inductive priors under cross-validation)."""
        prior, evaluation = self.config.prior, self.config.evaluation
        if prior.scope == "inductive" and evaluation.scheme == "cv":
            draws = range(evaluation.draws) if draw is None else [draw]
            return [f"d{d}-f{fold}" for d in draws for fold in range(evaluation.folds)]
        return ["all"]

    def jobs(self, stage: str) -> list[dict[str, Any]]:
        """The wildcards of every job of a stage."""
        config = self.config
        if stage in ("deidentify", "convert", "prepare"):
            return [{"shard": shard} for shard in range(config.engine.shards)]
        if stage == "train":
            arms = [{"arm": arm, "draw": draw} for arm in config.arms for draw in range(config.evaluation.draws)]
            return arms + [{"arm": CANARY + name, "draw": 0} for name in config.canaries]
        if stage == "pretrain":
            kinds: list[PriorKind] = sorted({kind for arm in config.arms if (kind := config.prior_of(arm))})
            return [
                {"kind": kind, "context": context, "way": way}
                for kind in kinds for context in self.contexts() for way in config.ways_of(kind)
            ]  # fmt: skip
        return [{}]

    def inputs(self, stage: str, **wildcards: Any) -> list[Path]:
        """The folders that one job of a stage reads."""
        return [self.folder(other, job_name(**job)) for other, job in self._inputs(stage, wildcards)]

    def _inputs(self, stage: str, wildcards: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for other in STEPS[stage].reads:
            for job in self.jobs(other):
                if "shard" in wildcards and "shard" in job and int(job["shard"]) != int(wildcards["shard"]):
                    continue
                if stage == "train" and other == "pretrain":
                    arm = wildcards["arm"]
                    wanted = canary_of(arm) is None and job["kind"] == self.config.prior_of(arm)
                    if not wanted or job["context"] not in self.contexts(int(wildcards["draw"])):
                        continue
                yield other, job

    def state(self, stage: str) -> dict[str, str]:
        """Keyed digests of what a stage depends on besides its inputs: its code and its part of the study file.

        Keyed, because a plain hash of a hospital's folder name could be guessed; Snakemake keeps these as rule parameters.
        """
        plain = self.config.model_dump(mode="json")
        values = {section: _lookup(plain, section) for section in STEPS[stage].sections}
        return {
            "code": code_digest(f"scanprior.stages.{stage}"),
            "config": hmac.new(self.key, json.dumps(values).encode(), "sha256").hexdigest()[:16],
        }

    def listing(self) -> str:
        """Keyed digest of the names, sizes and times of all raw files, so that new data is noticed."""
        cohort = self.config.cohort
        digest = hmac.new(self.key, digestmod="sha256")
        for text in (cohort.scans, cohort.labels, cohort.label_maps, cohort.patients):
            if not text:
                continue
            try:
                place = self.locate(text, "scans")
            except ConfigError:
                continue
            for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
                if file.is_file():
                    stat = file.stat()
                    digest.update(
                        f"{file.relative_to(place.parent)}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(
                            errors="surrogateescape"
                        )
                    )
        return digest.hexdigest()[:16]


def _lookup(plain: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        plain = plain[part]
    return plain

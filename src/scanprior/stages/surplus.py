"""Shards of an earlier, larger number: nothing reads them, and they may hold what the present settings would not let pass."""

from __future__ import annotations

import shutil

from scanprior.study import Study


def remove_surplus(study: Study) -> None:
    """Remove the folders of shards that the study no longer has, of the stages that work shard by shard."""
    for stage in ("deidentify", "convert", "prepare"):
        wanted = {f"shard-{job['shard']}" for job in study.jobs(stage)}
        for folder in study.folder(stage).glob("shard-*"):
            if folder.name not in wanted:
                shutil.rmtree(folder)

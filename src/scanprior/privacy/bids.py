"""The shape of a NIfTI or BIDS tree: which data set a file belongs to, where it goes, or why it is never copied.

A BIDS data set stays one: sub-<pseudonym>/[ses-…/]<data type>/<name rebuilt>. A plain tree keeps its folders and pairs
(images/x and labels/x get one name), every folder that is not one of a few usual words under a keyed code: a family name may
be an imaging word.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from scanprior.privacy.bids_names import IMAGES, code, parse, rebuilt, target_of
from scanprior.privacy.crosswalk import Keyed, Naming
from scanprior.privacy.header import Names
from scanprior.privacy.nifti import SUFFIXES
from scanprior.privacy.pseudonyms import scan_pseudonym
from scanprior.privacy.vocabulary import terms

Kind = Literal["image", "sidecar", "table", "gradients", "rebuilt", "withheld"]
# Folders of a BIDS data set that hold no raw scans: what is in them was never checked, or is free text.
_ASIDE = {
    "derivatives": "derived data, logs and reports are not copied; de-identify a derived data set by itself",
    "sourcedata": "source data is not copied; de-identify it by itself",
    "code": "code is not copied: it may name people, places and paths",
    "stimuli": "stimuli are not copied",
    "phenotype": "tables of measurements are not copied",
}
# Folders of a plain tree that keep their names: what is in them, never who.
_FOLDERS = terms("""images image imagestr imagests labels label labelstr labelsts masks mask train training tr test testing ts val
    validation anat func dwi perf pet fmap mr mri ct t1 t2 t1w t2w flair nifti nii data raw scans""")
_TABLES = frozenset(("events", "scans", "sessions", "aslcontext"))
_TEXTS = (".tsv", ".tsv.gz", ".json", ".txt", ".md", ".rst", ".csv", ".xlsx", ".cff", ".html", ".pdf", ".log", ".bval", ".bvec",
          ".py", ".m", ".sh", ".yaml", ".yml", ".xml", ".bib")  # fmt: skip


class Place(NamedTuple):
    """What becomes of one file: its kind, the data set's place in the output, the file's place in that (both "" for
    none), whose it is, and why it is withheld."""

    kind: Kind
    root: str
    target: str
    identity: str
    reason: str = ""
    sentence: str = ""


class Layout:
    """Where the files of a source go; asks the disk only which folders are data sets."""

    def __init__(self, source: Path, key: bytes, *, naming: Naming | None = None) -> None:
        self._source, self._key, self._naming = source, key, naming or Keyed(key)
        self.is_root = lru_cache(4096)(self._is_root)

    def place(self, relative: str) -> Place | None:
        """The place of a file by its path relative to the source; None: no NIfTI and not beside one, so it may be
        DICOM."""
        path = PurePosixPath(relative)
        root = next((folder for folder in reversed(path.parents) if self.is_root(folder)), None)
        return self._plain(path) if root is None else self._of_data_set(root, path.relative_to(root))

    def names(self, identity: str) -> Names:
        """What stands for a subject ("sub-…" as the source writes it) or for a plain file."""
        return self._naming.names(identity)

    def output_root(self, root: PurePosixPath) -> str:
        """Where a data set of the source goes in the output, "" for the output itself."""
        return "/".join(self._folder(part) for part in root.parts)

    def _is_root(self, folder: PurePosixPath) -> bool:
        place = self._source / folder
        if (place / "dataset_description.json").is_file():
            return True
        with os.scandir(place) as entries:
            return any(entry.name.startswith("sub-") and entry.is_dir(follow_symlinks=False) for entry in entries)

    def _folder(self, part: str) -> str:
        return part if part.lower() in _FOLDERS else code(self._key, f"folder {part}")

    def _of_data_set(self, root: PurePosixPath, inner: PurePosixPath) -> Place | None:
        out, top = self.output_root(root), inner.parts[0]
        identity = top if top.startswith("sub-") and len(inner.parts) > 1 else ""

        def withheld(reason: str, sentence: str) -> Place:
            return Place("withheld", out, "", identity, reason, sentence)

        if top in _ASIDE and len(inner.parts) > 1:
            return withheld(top, _ASIDE[top])
        if any(part.startswith(".") for part in inner.parts):
            return withheld("hidden", "hidden files and folders (.git, .datalad, …) are not copied")
        if inner.as_posix() in ("dataset_description.json", "participants.json"):
            return Place("rebuilt", out, inner.as_posix(), "")
        if inner.as_posix() == "participants.tsv":
            return Place("table", out, inner.as_posix(), "")
        lower = inner.name.lower()
        if lower.endswith(SUFFIXES) or (identity and lower.endswith((".json", ".tsv", ".tsv.gz", ".bval", ".bvec"))):
            target = target_of(inner, self.names(identity)) if identity else None
            kind = self._kind(inner)
            if target is not None and kind is not None:
                return Place(kind, out, target.as_posix(), identity)
            if lower.endswith(SUFFIXES):
                return withheld("bids-name", "an image whose name or place is none that BIDS has for images")
            return withheld("unsupported-table", "a table or sidecar of a kind that is not supported")
        if lower.endswith(".json") and len(inner.parts) == 1 and (name := parse(inner.name)) is not None:
            safe = rebuilt(name, Names("", 0, self._key))  # for all subjects: a name without sub- inherits downwards
            if safe is not None and self._kind(inner) == "sidecar" and not name.label("sub"):
                return Place("sidecar", out, str(safe), "")
        if lower.endswith(_TEXTS) or lower.split(".")[0] in ("readme", "changes", "license"):
            return withheld("free-text", "free text and tables that are not BIDS' own are not copied")
        return None

    @staticmethod
    def _kind(inner: PurePosixPath) -> Kind | None:
        name = parse(inner.name)
        if name is None:
            return None
        images = IMAGES.get(inner.parts[-2], frozenset()) if len(inner.parts) > 1 else frozenset()
        anywhere = frozenset().union(*IMAGES.values())
        if name.extension in SUFFIXES:
            return "image" if name.suffix in images else None
        if name.extension == ".json":
            return "sidecar" if name.suffix in anywhere else None
        if name.extension in (".bval", ".bvec"):
            return "gradients" if name.suffix == "dwi" else None
        return "table" if name.extension == ".tsv" and name.suffix in _TABLES else None

    def _plain(self, path: PurePosixPath) -> Place | None:
        lower = path.name.lower()
        suffix = next((one for one in (*SUFFIXES, ".json", ".bval", ".bvec") if lower.endswith(one)), None)
        if suffix is None:
            return None
        stem = path.name[: -len(suffix)]
        beside = any((self._source / path.with_name(stem + one)).is_file() for one in SUFFIXES)
        if suffix not in SUFFIXES and not beside:
            return None
        channel = stem[-5:] if len(stem) > 5 and stem[-5] == "_" and stem[-4:].isdigit() and int(stem[-4:]) < 20 else ""
        name = scan_pseudonym(self._key, stem.removesuffix(channel)) + channel + suffix
        target = "/".join([*(self._folder(part) for part in path.parts[:-1]), name])
        owner = "/".join([*(p for p in path.parts[:-1] if p.lower() not in _FOLDERS), stem.removesuffix(channel)])
        kind: Kind = "image" if suffix in SUFFIXES else "sidecar" if suffix == ".json" else "gradients"
        return Place(kind, "", target, owner)

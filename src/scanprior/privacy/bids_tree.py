"""What goes with the images of a NIfTI or BIDS tree, written after them: sidecars, tables, gradients, descriptions.

A file of this kind is written only when an image it speaks of is in the output, so that nothing dangles and no
quarantined scan leaves a trace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from scanprior import __version__
from scanprior.privacy import bids_tables
from scanprior.privacy.audit import Line
from scanprior.privacy.bids import Layout, Place
from scanprior.privacy.bids_names import COMPANIONS, parse, subject_label
from scanprior.privacy.bids_sidecar import clean_sidecar, encode, read_object
from scanprior.privacy.header import Names
from scanprior.privacy.nifti import SUFFIXES
from scanprior.privacy.pseudonyms import file_pseudonym
from scanprior.privacy.refused import Refused, unforeseen
from scanprior.privacy.rules import Profile
from scanprior.privacy.series import write

README = """This data set was de-identified with scanprior; audit.html beside it says what was done and what remains.
It is pseudonymised personal data, not anonymous: share it under agreement.
Acquisition dates before 1925 were moved by one offset per participant, so that intervals are kept.
"""
DESCRIPTION: dict[str, Any] = {
    "Name": "De-identified data set",
    "BIDSVersion": "1.10.0",
    "DatasetType": "raw",
    "GeneratedBy": [{"Name": "scanprior", "Version": __version__}],
}
LICENCES = frozenset(("CC0", "PD", "PDDL", "CC-BY-4.0", "CC-BY-SA-4.0", "CC BY 4.0", "CC BY-SA 4.0"))
_LARGEST = 32 << 20  # bytes of a table or sidecar


def finish(
    source: Path, files: Iterable[str], target: Path, *, layout: Layout, key: bytes, profile: Profile
) -> Iterator[Line]:
    """Write what accompanies the images that are in `target` by now; `files` are paths relative to `source`. Yields the
    audit line of each such file, and of each that is withheld."""
    tree = _Tree(source, target, layout, key, profile)
    roots: set[str] = set()
    rebuilt: list[tuple[str, Place]] = []
    for relative in files:
        place = layout.place(relative)
        if place is None or place.kind == "image":
            continue
        root = _data_set(layout, relative)
        if root is not None:
            roots.add(root)
        if place.kind == "rebuilt":
            rebuilt.append((relative, place))
        else:
            yield tree.file(relative, place)
    for root in sorted(roots):
        tree.describe(root)
    for relative, place in rebuilt:
        yield tree.rebuilt(relative, place)


def _data_set(layout: Layout, relative: str) -> str | None:
    folders = reversed(PurePosixPath(relative).parents)
    return next((folder.as_posix() for folder in folders if layout.is_root(folder)), None)


class _Tree:
    """One run: where from, where to, and how."""

    def __init__(self, source: Path, target: Path, layout: Layout, key: bytes, profile: Profile) -> None:
        self.source, self.target, self.layout, self.key, self.profile = source, target, layout, key, profile
        self.made: set[Path] = set()

    def write(self, target: Path, content: bytes) -> None:
        """Write a file and remember that this run did."""
        write(target, content)
        self.made.add(target)

    def rebuilt(self, relative: str, place: Place) -> Line:
        """What became of a description that is made anew, after all else is written."""
        label = file_pseudonym(self.key, relative)
        if self.target / place.root / place.target not in self.made:
            return Line(
                label, None, "quarantined", "no-image", "nothing that it describes is in the output", {}, (), ""
            )
        return Line(label, None, "written", "", "", {"rebuilt": 1}, (), _output(place))

    def file(self, relative: str, place: Place) -> Line:
        """Write one file and say what was done."""
        label = file_pseudonym(self.key, relative)
        names = self.layout.names(place.identity) if place.identity else None
        patient = names.patient if names else None
        if place.kind == "withheld":
            return Line(label, patient, "quarantined", place.reason, place.sentence, {}, (), "")
        actions: Counter[str] = Counter()
        folder = self.target / place.root
        try:
            path = self.source / relative
            if path.stat().st_size > _LARGEST:
                raise Refused("unreadable", "the file is too large for a table or sidecar")
            content = path.read_bytes()
            made = self._made(content, place, folder, names or Names("", 0, self.key), actions)
        except OSError:
            made, refused = None, Refused("unreadable", "the file cannot be read")
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  one file's fault must not stop the others, nor be quoted
            made, refused = None, error if isinstance(error, Refused) else unforeseen(error)
        else:
            refused = None
        if refused is not None or made is None:
            refused = refused or Refused("no-image", "no image that it speaks of is in the output")
            return Line(label, patient, "quarantined", refused.code, refused.sentence, {}, (), "")
        self.write(folder / place.target, made)
        return Line(label, patient, "written", "", "", dict(sorted((+actions).items())), (), _output(place))

    def describe(self, root: str) -> None:
        """dataset_description.json, README and .bidsignore of a data set, made anew."""
        folder = self.target / self.layout.output_root(PurePosixPath(root))
        if not any(folder.glob("sub-*/**/*.nii*")):
            return
        facts = dict(DESCRIPTION)
        try:
            licence = read_object((self.source / root / "dataset_description.json").read_bytes()).get("License")
        except (OSError, Refused):
            licence = None
        if isinstance(licence, str) and licence in LICENCES:
            facts["License"] = licence
        self.write(folder / "dataset_description.json", encode(facts))
        self.write(folder / "README", README.encode())
        self.write(folder / ".bidsignore", b"audit.*\nP-*\n")

    def _made(self, content: bytes, place: Place, folder: Path, names: Names, actions: Counter[str]) -> bytes | None:
        """The new content, None when nothing that it speaks of is in the output."""
        target = PurePosixPath(place.target)
        name = parse(target.name)
        if place.target == "participants.tsv":
            return self._participants(content, folder, actions)
        if place.kind == "gradients":
            vectors = target.suffix == ".bvec"
            return bids_tables.gradients(content, vectors=vectors) if self._partner(folder, target) else None
        if place.kind == "sidecar":
            if not self._partner(folder, target):
                return None
            task = name.label("task") if name else ""
            return clean_sidecar(content, names=names, profile=self.profile, task=task, label=place.identity.removeprefix("sub-"),
                                 intended=lambda path: self._intended(path, folder, names), actions=actions)  # fmt: skip
        if name is not None and name.suffix in COMPANIONS:
            if not self._partner(folder, target):
                return None
            if name.suffix == "events":
                return bids_tables.events(content, names=names, actions=actions)
            return bids_tables.volumes(content, actions=actions)
        here = folder / target.parent
        if not here.is_dir():
            return None
        if name is not None and name.suffix == "sessions":
            return bids_tables.sessions(content, names=names, profile=self.profile, actions=actions,
                                        written=lambda label: any((here / label).glob("**/*.nii*")))  # fmt: skip

        def mapped(path: str) -> str:
            new = bids_tables.mapped_name(path, names)
            return new if new and (here / new).is_file() else ""

        return bids_tables.scans(content, names=names, profile=self.profile, mapped=mapped, actions=actions)

    def _participants(self, content: bytes, folder: Path, actions: Counter[str]) -> bytes:
        table, described = bids_tables.participants(
            content, names_of=self.layout.names, profile=self.profile, key=self.key, actions=actions,
            written=lambda label: any((folder / label).glob("**/*.nii*")),
        )  # fmt: skip
        self.write(folder / "participants.json", described)
        return table

    @staticmethod
    def _partner(folder: Path, target: PurePosixPath) -> bool:
        """Whether an image is in the output that the file stands beside, or is inherited by (BIDS' inheritance
        principle: it lies at or below, has the same suffix, and says at least what the file's name says)."""
        name = parse(target.name)
        if name is None:  # a plain tree: the image of the same stem
            stem = target.name.removesuffix(target.suffix)
            return any((folder / target.with_name(stem + suffix)).is_file() for suffix in SUFFIXES)
        suffix = COMPANIONS.get(name.suffix, name.suffix)
        for image in (folder / target.parent).rglob(f"*_{suffix}.nii*"):
            found = parse(image.name)
            if found is not None and set(name.entities) <= set(found.entities):
                return True
        return False

    def _intended(self, path: str, folder: Path, names: Names) -> str:
        """A path of IntendedFor under its new name: relative to the subject, or a bids:: URI; "" when it is not
        there."""
        inner = path.removeprefix("bids::")
        is_uri = inner != path
        parts = PurePosixPath(inner).parts
        subject = subject_label(names)
        inner = "/".join(parts[1:] if parts and parts[0].startswith("sub-") else parts)
        new = bids_tables.mapped_name(inner, names)
        if not new or not (folder / f"sub-{subject}" / new).is_file():
            return ""
        return f"bids::sub-{subject}/{new}" if is_uri else new


def _output(place: Place) -> str:
    return f"{place.root}/{place.target}".lstrip("/")

"""One series of DICOM files, or one NIfTI volume: cleaned, its face removed, and written; all of it or none where
faces are."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from scanprior.privacy import instance as dicom
from scanprior.privacy.audit import Line
from scanprior.privacy.header import Names
from scanprior.privacy.heads import DEFACED, Assemble, Seen, deface_volume, remove_face
from scanprior.privacy.instance import Choice, Instance
from scanprior.privacy.nifti import encode_nifti, read_nifti
from scanprior.privacy.pseudonyms import file_pseudonym
from scanprior.privacy.refused import Refused, unforeseen
from scanprior.privacy.rules import Profile


@dataclass(frozen=True)
class Settings:
    """What to do: profile, faces and text, the key, and how a series becomes a volume (None: it does not)."""

    key: bytes = field(repr=False)
    profile: Profile
    faces: Choice
    text: Choice
    assemble: Assemble


@dataclass
class Outcome(Seen):
    """What became of a series: audit lines, files written (relative), and what was seen of a face."""

    lines: list[Line] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


class _Cleaned(NamedTuple):
    """An image that waits to be written: its pseudonym in the audit, and its file's digest on demand."""

    label: str
    instance: Instance
    digest: Callable[[], str]


def deidentify_series(
    files: Sequence[tuple[Path, str]], *, names: Names, settings: Settings, folder: Path, beside: int = 0
) -> Outcome:
    """De-identify the DICOM files (path, name relative to the source) of one series into
    `folder`/study/series/instance.dcm; so many images of other series lie `beside` it in the same frame of reference."""
    outcome = Outcome()
    good: list[_Cleaned] = []
    taken: set[Path] = set()
    for path, relative in files:
        label = file_pseudonym(settings.key, relative)
        digest = cache(partial(_digest, path, names.key))  # rarely asked for
        try:
            instance = dicom.clean_instance(
                dicom.read(path), profile=settings.profile, names=names, text=settings.text, digest=digest
            )
        except Refused as refused:
            outcome.lines.append(_refused(label, names.patient, refused))
            continue
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  one file's fault in any library must not stop the others, nor be quoted
            outcome.lines.append(_refused(label, names.patient, unforeseen(error)))
            continue
        if settings.faces == "keep":  # no image waits for the others
            _write_instance(_Cleaned(label, instance, digest), names, folder, taken, outcome)
        else:
            good.append(_Cleaned(label, instance, digest))
    if good:
        doubt = _tried(lambda: remove_face([one.instance for one in good], outcome, settings.assemble, beside))
        if doubt is not None:
            outcome.lines += [_refused(one.label, names.patient, doubt) for one in good]
            outcome.face = "quarantined"
            good = []
    elif not taken:
        outcome.face = "nothing-written"
    for one in good:
        _write_instance(one, names, folder, taken, outcome)
    return outcome


def deidentify_volume(
    path: Path, relative: str, *, names: Names, settings: Settings, target: Path, label_map: bool = False
) -> Outcome:
    """De-identify one NIfTI file into `target`; a label map has no face to look for."""
    outcome = Outcome()
    label = file_pseudonym(settings.key, relative)
    try:
        stored = read_nifti(path)
        actions = Counter({"text-fields": stored.removed} if stored.removed else {})
        if settings.faces != "keep" and not label_map:
            stored = deface_volume(stored, outcome, actions)
        write(target, encode_nifti(stored, compress=target.name.endswith(".gz")))
    except (OSError, MemoryError):
        raise  # of the output or the machine; what is wrong with the input is told as Refused
    except Exception as error:  # noqa: BLE001  as above
        refused = error if isinstance(error, Refused) else unforeseen(error)
        outcome.lines.append(_refused(label, names.patient, refused))
        outcome.face = "quarantined" if refused.code == "face-doubt" else outcome.face
        return outcome
    codes = settings.profile.codes(*([DEFACED] if outcome.removed is not None else []))
    outcome.written.append(target.name)
    outcome.lines.append(
        Line(label, names.patient, "written", "", "", dict(actions), tuple(sorted(codes)), target.name)
    )
    return outcome


def write(target: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:40]}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _tried(step: Callable[[], None]) -> Refused | None:
    """Why a step refused or failed, None when it did not; a full disk or memory is no fault of a file and goes on up."""
    try:
        step()
    except Refused as refused:
        return refused
    except (OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  one file's fault in any library must not stop the others, nor be quoted
        return unforeseen(error)
    return None


def _write_instance(one: _Cleaned, names: Names, folder: Path, taken: set[Path], outcome: Outcome) -> None:
    """Write one image, or say why it can't be written."""
    fault = _tried(lambda: _write(one, names, folder, taken, outcome))
    if fault is not None:
        outcome.lines.append(_refused(one.label, names.patient, fault))


def _write(one: _Cleaned, names: Names, folder: Path, taken: set[Path], outcome: Outcome) -> None:
    instance = one.instance
    study, series, name = instance.path()
    content = instance.encode()
    target = folder / study / series / f"{name}.dcm"
    if target in taken and target.read_bytes() != content:
        # Another image under the same SOP Instance UID: both are kept.
        target = target.with_name(f"{name}-{one.digest()[:12]}.dcm")
    if target in taken:
        outcome.lines.append(
            Line(one.label, names.patient, "duplicate", "duplicate", "the same image as another file", {}, (), "")
        )
        return
    taken.add(target)
    write(target, content)
    relative = f"{study}/{series}/{target.name}"
    codes = tuple(sorted(instance.profile.codes(*instance.performed)))
    outcome.written.append(relative)
    outcome.lines.append(
        Line(one.label, names.patient, "written", "", "", dict(sorted(instance.actions.items())), codes, relative)
    )


def _digest(path: Path, key: bytes) -> str:
    """Keyed, so that a missing UID's stand-in can't be recomputed from the image by someone without the key."""
    return hashlib.blake2b(path.read_bytes(), key=key, digest_size=16).hexdigest()


def _refused(label: str, patient: str | None, refused: Refused) -> Line:
    return Line(label, patient, "quarantined", refused.code, refused.sentence, {}, (), "")


def counts(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How many series had their face removed, had none, …"""
    return dict(sorted(Counter(outcome.face for outcome in outcomes).items()))

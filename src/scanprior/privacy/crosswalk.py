"""Who a patient becomes: by the key alone, or by chance with a crosswalk beside the key.

45 CFR 164.514(c) allows a code only when it is not derived from information about the individual; a keyed digest of the
hospital id is. With the crosswalk, names and date offsets are drawn at random once and read back ever after. UIDs stay
keyed: they describe images, and have to agree across files that no one run sees together.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
import secrets
import stat
from pathlib import Path
from types import TracebackType
from typing import Protocol

from scanprior.errors import ScanpriorError
from scanprior.privacy.pseudonyms import OFFSET_DAYS, date_offset, fingerprint, patient_pseudonym
from scanprior.privacy.values import Names

_COLUMNS = ["identity", "patient", "days"]


def crosswalk_beside(key: Path) -> Path:
    """Where the crosswalk of a key file lies."""
    return key.with_name(f"{key.name}.crosswalk.csv")


class Naming(Protocol):
    """Gives each identity its name, its date offset and the key for UIDs."""

    def names(self, identity: str) -> Names:
        """The names of one patient; the same for the same identity."""
        ...


class Keyed:
    """Names that anyone with the key can compute again; nothing is stored."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def names(self, identity: str) -> Names:
        """The names of one patient; the same for the same identity."""
        return Names(patient_pseudonym(self._key, identity), date_offset(self._key, identity), self._key)


class Crosswalk:
    """Random names, kept in a file (mode 0600) beside the key; one run at a time may hold it.

    Use as a context: leaving it without an error, or `save`, writes what was added.

    Raises:
        ScanpriorError: the file can be read by others, belongs to another key, or is not a crosswalk.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._path, self._key = path, key
        self._known: dict[str, tuple[str, int]] = {}
        self._added = False
        self._lock: int | None = None

    def __enter__(self) -> Crosswalk:
        self._lock = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if self._path.exists():
            self._read()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self.save()
        finally:
            if self._lock is not None:
                os.close(self._lock)

    def names(self, identity: str) -> Names:
        """The names of one patient; a new identity gets new ones."""
        if identity not in self._known:
            taken = {patient for patient, _ in self._known.values()}
            patient = f"P-{secrets.token_hex(5)}"
            while patient in taken:
                patient = f"P-{secrets.token_hex(5)}"
            low, high = OFFSET_DAYS
            self._known[identity] = (patient, -(low + secrets.randbelow(high - low + 1)))
            self._added = True
        patient, days = self._known[identity]
        return Names(patient, days, self._key)

    def offsets(self) -> set[int]:
        """The days by which dates of its patients were moved."""
        return {days for _, days in self._known.values()}

    def save(self) -> None:
        """Write the file anew, whole or not at all, if anything was added."""
        if not self._added:
            return
        text = io.StringIO()
        text.write(f"# scanprior crosswalk {fingerprint(self._key)}: keep it as you keep the key\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows((identity, patient, days) for identity, (patient, days) in sorted(self._known.items()))
        part = self._path.with_name(self._path.name + ".part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text.getvalue())
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self._path)
        self._added = False

    def _read(self) -> None:
        mode = stat.S_IMODE(self._path.stat().st_mode)
        if mode & 0o077:
            raise ScanpriorError(
                f"the crosswalk beside the key has mode {mode:04o}: others may read it; only 0600 or 0400 is allowed",
                hint="chmod 600 the file; if others could have copied it, the pseudonyms are no secret any more",
            )
        with self._path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            head = stream.readline().split(":")[0].split()
            if head[:3] != ["#", "scanprior", "crosswalk"] or len(head) != 4:
                raise ScanpriorError(
                    "the crosswalk beside the key is none that scanprior wrote",
                    hint="restore it from its backup; without it every patient gets a new name",
                )
            if head[3] != fingerprint(self._key):
                raise ScanpriorError(
                    "the crosswalk beside the key belongs to another key",
                    hint="give the key that it was made with, or move it away for new names",
                )
            rows = list(csv.reader(stream))[1:]
        try:
            self._known = {identity: (patient, int(days)) for identity, patient, days in rows}
        except ValueError:
            raise ScanpriorError(
                "a line of the crosswalk beside the key does not hold identity, patient and days",
                hint="restore it from its backup; it is not meant to be edited",
            ) from None

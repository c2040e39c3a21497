"""The project's key, and what is derived from it: patient, scan and file names, UIDs and the date offset of a
patient.

Everything is HMAC-SHA256 under one 32-byte key, with a domain in front of the text so that no two kinds of
pseudonym can be compared: knowing that P-… belongs to an id says nothing about the UIDs. Without the key a
dictionary of all hospital ids finds nothing; with it the same id gives the same name for ever, so the key is what
must be kept apart (GDPR Art. 4(5)).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import uuid
from pathlib import Path

from scanprior.errors import ScanpriorError

KEY_BYTES = 32
# Between one and twenty years back: never into the future, and wide enough that a leaked offset is not a guess.
OFFSET_DAYS = (366, 7305)
# UIDs below the standard's own root name classes, syntaxes and well-known frames of reference, not patients.
STANDARD_ROOT = "1.2.840.10008."


def new_key(path: Path) -> bytes:
    """Write a fresh random key (64 hex digits, mode 0600) to `path` and return its 32 bytes; an existing file is
    never replaced."""
    key = secrets.token_bytes(KEY_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ScanpriorError(
            "there is a file already where the new key should go; a key is never replaced",
            hint="use the existing key, or choose another path: with a new key every pseudonym changes",
        ) from None
    with os.fdopen(handle, "w") as stream:
        stream.write(key.hex() + "\n")
        os.fchmod(stream.fileno(), 0o600)  # whatever the umask says
    return key


def read_key(path: Path) -> bytes:
    """Return the 32 bytes of the key at `path`; a missing, readable-by-others, short or malformed key is one clear
    error."""
    remedy = "scanprior new-key FILE makes one"
    try:
        status = path.stat()
        text = path.read_bytes()
    except FileNotFoundError:
        raise ScanpriorError("there is no key file at the given path", hint=remedy) from None
    except OSError as error:
        raise ScanpriorError(f"the key file cannot be read ({error.strerror})", hint=remedy) from None
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise ScanpriorError(
            f"the key file has mode {mode:04o}: others may read it; only 0600 or 0400 is allowed",
            hint="chmod 600 FILE; if others could have copied it, make a new key instead",
        )
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        raise ScanpriorError("the key file is not a scanprior key (64 hexadecimal digits)", hint=remedy) from None
    if len(key) != KEY_BYTES:
        raise ScanpriorError(
            f"the key has {len(key)} bytes where exactly {KEY_BYTES} are allowed (64 hexadecimal digits)", hint=remedy
        )
    return key


def patient_pseudonym(key: bytes, identity: str) -> str:
    """Return the patient's name "P-" + 10 hex digits for a hospital id; blanks and NULs around the id do not count."""
    return "P-" + _digest(key, "patient", clean(identity)).hex()[:10]


def scan_pseudonym(key: bytes, text: str) -> str:
    """Return the scan's name "S-" + 10 hex digits for whatever names the scan in the hospital (a series UID, a
    file name)."""
    return "S-" + _digest(key, "scan", clean(text)).hex()[:10]


def file_pseudonym(key: bytes, text: str) -> str:
    """Return the name "F-" + 10 hex digits that stands for an input file in the quarantine and the audit."""
    return "F-" + _digest(key, "file", text).hex()[:10]


def fingerprint(key: bytes) -> str:
    """Return eight hex digits by which two keys can be told apart, and from which nothing else follows."""
    return _digest(key, "fingerprint", "").hex()[:8]


def uid(key: bytes, original: str) -> str:
    """Return the UID "2.25.…" (PS3.5 B.2) that replaces `original` everywhere; the standard's own UIDs and "" stay."""
    original = clean(original)
    if not original or original.startswith(STANDARD_ROOT):
        return original
    return f"2.25.{uuid.UUID(bytes=_digest(key, 'uid', original)[:16], version=4).int}"


def date_offset(key: bytes, identity: str) -> int:
    """Return the days (negative) by which all dates of a patient are moved; the same for all scans of that patient."""
    low, high = OFFSET_DAYS
    span = int.from_bytes(_digest(key, "dates", clean(identity))[:8], "big") % (high - low + 1)
    return -(low + span)


def identity_of(patient_id: str, name: str, birth_date: str, study_uid: str) -> str:
    """Return what tells this patient from others: the id, else name and birth date, else the study, so that files
    without an id never all become one patient."""
    patient_id, name, birth_date = clean(patient_id), clean(name), clean(birth_date)
    if patient_id:
        return patient_id
    if name:
        return f"name:{name}|{birth_date}"
    return f"study:{clean(study_uid)}"


def clean(text: str) -> str:
    """Return the text without the blanks and NULs that DICOM pads with."""
    return text.strip(" \t\r\n\0")


def _digest(key: bytes, domain: str, text: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise ScanpriorError(f"a key of {len(key)} bytes was given where exactly {KEY_BYTES} are allowed")
    return hmac.new(key, f"scanprior/{domain}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).digest()

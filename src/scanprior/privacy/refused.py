"""Why a file or a series is quarantined instead of written."""

from __future__ import annotations

import struct
import zlib

from pydicom.errors import BytesLengthException, InvalidDicomError

# Everything that reading or decoding a file somebody else wrote was seen to raise in pydicom, NumPy, struct and zlib, in tests
# on broken files and under fuzzing: broken lengths, unknown VRs (NotImplementedError), numbers out of range, text in another
# character set, sequences nested without end, lazy attributes of None. Texts of these may quote values: never pass them on.
READ_ERRORS = (ValueError, TypeError, AttributeError, NotImplementedError, LookupError, EOFError, OSError, OverflowError,
               RecursionError, struct.error, zlib.error, BytesLengthException, InvalidDicomError)  # fmt: skip


class Refused(Exception):  # noqa: N818  a verdict on a file, not a fault of the program
    """A file that cannot be vouched for: `code` counts the cause, `sentence` explains it, neither holds a value of
    the file."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def unforeseen(error: Exception) -> Refused:
    """What is said of a fault in any library: its kind, and nothing that its text may quote."""
    return Refused("unexpected", f"an unforeseen {type(error).__name__} while the file was cleaned; please report it")

"""The errors that a user sees: what was seen, where, what is allowed, and what to do next."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

_SOURCE = Path(__file__).parent


class ScanpriorError(Exception):
    """A problem that the user can mend; printed as one sentence and a hint, never with identifying text."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}" if self.hint else self.message


class ConfigError(ScanpriorError):
    """The study file or the command line is wrong; found before any work starts."""

    exit_code = 2


class CohortError(ScanpriorError):
    """The scans, labels or patients do not make a cohort; found before any long work starts."""

    exit_code = 2


class StageError(ScanpriorError):
    """A stage could not finish; the message names the stage, the pseudonym and the cause."""


def explain(error: BaseException) -> str:
    """The cause in words; only our own errors are quoted, since a library's text may hold a path or a name."""
    if isinstance(error, ScanpriorError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "the machine ran out of memory; give the job more, or use smaller patches, layers or batches"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space (scanprior check STUDY.yaml forecasts how much is needed)"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted by hand"
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if str(_SOURCE) in frame.filename]
    place = f" in {Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{place}; set SCANPRIOR_DEBUG=1 to see the library's own message"

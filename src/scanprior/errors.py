"""The errors that a user sees: what was seen, where, what is allowed, and what to do next."""

from __future__ import annotations


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

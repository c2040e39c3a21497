"""Why a file or a series is quarantined instead of written."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818  a verdict on a file, not a fault of the program
    """A file that cannot be vouched for: `code` counts the cause, `sentence` explains it, neither holds a value of
    the file."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence

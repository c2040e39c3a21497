"""The one way to say no to a scan: a reason code for tables and a sentence for people."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - a verdict on a scan, which every stage turns into a quarantine row
    """A scan that can't be used; `reason` is a code such as missing-slice, `sentence` says what was seen.

    The sentence holds numbers and names of attributes only, never a value that could name a patient, a file or a place.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(f"{reason}: {sentence}")
        self.reason = reason
        self.sentence = sentence

    def __reduce__(self) -> tuple[type[Refused], tuple[str, str]]:
        return type(self), (self.reason, self.sentence)  # it comes back whole from another process

"""Whether names may be burned into the pixels: the class of the object decides; a doubt asks for text recognition.

A tomograph writes text into an image only when a person or a post-processing step makes a picture of it. So an
original (or primary) slice of CT, MR, PET or NM passes, and whatever is a photograph of a screen, a projection or
a scan of a camera is risky. The header's own flag is believed only when it warns (three of four real files with
burned-in names lack it).
"""

from __future__ import annotations

from scanprior.privacy.encode import Elements
from scanprior.privacy.refused import Refused

_ROOT = "1.2.840.10008.5.1.4.1.1."
# CT, MR, PET, NM and their enhanced and legacy-converted kinds: slices that a scanner computed.
TOMOGRAPHIC = frozenset(_ROOT + tail for tail in ("2", "2.1", "2.2", "4", "4.1", "4.4", "20", "128", "128.1", "130"))
# Images whose pixels people type on, photograph or project; supported, but risky.
RISKY = frozenset(_ROOT + tail for tail in ("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "3.1", "6.1", "7", "7.1", "7.2", "7.3",
                                            "7.4", "12.1", "12.2", "481.1", "77.1.1", "77.1.2", "77.1.4"))  # fmt: skip
_PICTURES = (
    "SCREEN",
    "CAPTURE",
    "SNAPSHOT",
    "DOSE",
    "REPORT",
    "PROTOCOL",
    "RESULT",
    "GRAPH",
    "CURVE",
    "COMPOSED",
    "TABLE",
    "PRINT",
)


def doubt(kept: Elements, *, flag: str, image_type: str) -> str:
    """Return why text could be burned in, or "" for a slice as the scanner made it.

    `flag` is the original BurnedInAnnotation, `image_type` the original ImageType with backslashes.

    Raises:
        Refused: the object is no image that is supported at all (reports, documents, contours, segmentations …).
    """
    sop_class = _text(kept, 0x00080016)
    if sop_class in RISKY:
        return "text may be burned into images of this class"
    if sop_class not in TOMOGRAPHIC:
        raise Refused(
            "unsupported-object", "this is no image of a kind that can be de-identified here (report, document, …)"
        )
    if flag.strip().upper() == "YES":
        return "the file says itself that text is burned into its pixels"
    if not _text(kept, 0x00280004).startswith("MONOCHROME"):
        return "the slice is in colour, as screen captures are"
    parts = [part.strip().upper() for part in image_type.split("\\")]
    if len(parts) < 2:
        return "the image type is missing, so that a screen capture cannot be told from a slice"
    if parts[1] == "SECONDARY" and not sop_class.endswith((".2.1", ".4.1", ".4.4", ".128.1", ".130", ".2.2")):
        return "the slice is a secondary picture, not an image as the scanner made it"
    if any(word in part for part in parts[2:] for word in _PICTURES):
        return "the image type names a screen capture or a report"
    return ""


def _text(kept: Elements, tag: int) -> str:
    element = kept.get(tag)
    return element.value.decode("ascii") if element and isinstance(element.value, bytes) else ""

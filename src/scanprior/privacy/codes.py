"""Items of code sequences: a code of a public scheme stays, whatever could be a hospital's own word or number goes."""

from __future__ import annotations

import re

from scanprior.privacy.encode import Elements, text_element
from scanprior.privacy.values import clean_words

VALUE, SCHEME, VERSION, MEANING = 0x00080100, 0x00080102, 0x00080103, 0x00080104
# Schemes of PS3.16 table 8-1 whose codes have a form that can be checked.
_FORMS = {
    "DCM": r"1\d{5}",
    "SRT": r"[A-Z]-[0-9A-F]{5}",
    "SNM3": r"[A-Z]-[0-9A-F]{5}",
    "LN": r"\d{1,5}-\d",
    "UCUM": r"[a-zA-Z%/{}\[\]0-9.*'-]{1,8}",
    "I10": r"[A-Z]\d\d(\.\d{1,2})?",
    "FMA": r"\d{4,6}",
    "RADLEX": r"RID\d{1,5}",
}
# The dihedral group of order ten and the permutations of Verhoeff's check digit (SNOMED CT Release File Specification).
_PRODUCT = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321", "6598710432", "7659821043", "8765932104",
            "9876543210")  # fmt: skip
_PERMUTED = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


def checked(item: Elements) -> bool:
    """Whether the item may stay; its meaning is reduced to imaging words, its version goes.

    An item without a code value (a device's identifiers, say) stays when anything is left in it.
    """
    if VALUE not in item:
        for tag in (SCHEME, VERSION, MEANING):
            item.pop(tag, None)
        return bool(item)
    value, scheme = (_text(item, tag) for tag in (VALUE, SCHEME))
    if not public(value, scheme):
        return False
    item.pop(VERSION, None)
    item[MEANING] = text_element("LO", clean_words(_text(item, MEANING))[:64] or "code")
    return True


def public(value: str, scheme: str) -> bool:
    """Whether a code has the form of the public scheme that it names."""
    if scheme == "SCT":
        return bool(re.fullmatch(r"\d{6,18}", value, re.ASCII)) and value[-2] in "01" and verhoeff(value)
    return bool(scheme in _FORMS and re.fullmatch(_FORMS[scheme], value, re.ASCII))


def verhoeff(digits: str) -> bool:
    """Whether the last of the digits is Verhoeff's check digit of the others."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_PRODUCT[check][int(_PERMUTED[place % 8][int(digit)])])
    return check == 0


def _text(item: Elements, tag: int) -> str:
    element = item.get(tag)
    return element.value.decode("utf-8").strip() if element is not None and isinstance(element.value, bytes) else ""

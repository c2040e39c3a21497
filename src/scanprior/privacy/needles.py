"""Byte search for original values in an output, in every spelling and character set in which one could have survived."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

import numpy as np

from scanprior.privacy.audit import RESIDUAL_RISK, Line
from scanprior.privacy.bids_words import bids_words
from scanprior.privacy.rules import allow_list, method_codes
from scanprior.privacy.vocabulary import IMAGE_TYPE, VENDORS, WORDS

_CHARSETS = (
    "utf-8",
    "latin-1",
    "utf-16-le",
    "utf-16-be",
    "utf-32-le",
    "gb18030",
    "shift_jis",
    "euc_kr",
    "iso2022_jp",
    "cp1251",
)
LEAST, CERTAIN = 4, 8  # characters: searched word by word from 4 on, in any bytes from 8 on


class Needles:
    """Original values made ready to be searched for; `kinds` maps each spelling (bytes, lower case, no NUL) to its
    kind."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self.kinds: dict[bytes, str] = {}
        for kind, text in values:
            for spelling in _spellings(kind, text):
                self.kinds.setdefault(spelling, kind)
        # By their first four bytes and then by length: thousands of UIDs begin alike.
        self._starts: dict[bytes, dict[int, set[bytes]]] = {}
        for spelling in self.kinds:
            self._starts.setdefault(spelling[:LEAST], {}).setdefault(len(spelling), set()).add(spelling)
        self._table = np.zeros(1 << 16, dtype=bool)
        for start in self._starts:
            self._table[_hashes(start)] = True

    def find(self, data: bytes, *, words: bool) -> set[str]:
        """Kinds of the values in `data`: `words` finds whole words from 4 characters on, else any bytes from 8 on."""
        plain = data.replace(b"\0", b"").lower()
        if len(plain) < LEAST or not self._starts:
            return set()
        found: set[str] = set()
        for at in np.flatnonzero(self._table[_hashes(plain)]).tolist():
            for length, spellings in self._starts.get(plain[at : at + LEAST], {}).items():
                spelling = plain[at : at + length]
                if spelling in spellings and (_stands_alone(plain, at, spelling) if words else _certain(spelling)):
                    found.add(self.kinds[spelling])
        return found


def harmless(text: str) -> bool:
    """Whether this program itself may write the text: vendors, imaging words, codes, and the words of its audit."""
    words = re.findall(r"[^\W_]+", text.lower())  # of any alphabet: a name in Cyrillic is no punctuation
    return all(word in _own_words() or re.fullmatch(r"\d{1,3}(mm)?", word, re.ASCII) for word in words)


@cache
def _own_words() -> frozenset[str]:
    codes = [value for rule in allow_list().values() for value in rule.values or ()]
    text = " ".join(
        (
            *codes,
            *IMAGE_TYPE,
            *method_codes().values(),
            RESIDUAL_RISK,
            " ".join(Line._fields),
            "patient",
            *bids_words(),
            *VENDORS,
            *VENDORS.values(),
        )
    )
    return WORDS | frozenset(re.findall(r"[a-z0-9]+", text.lower()))


def _spellings(kind: str, text: str) -> set[bytes]:
    texts = {text}
    if kind == "name":
        parts = [part for part in re.split(r"[\^= ,\ufffd]+", text) if part]
        # Two signs of Chinese are a name as four Latin letters are.
        texts |= {part for part in parts if len(part.encode()) >= LEAST and not harmless(part)} | {
            " ".join(parts),
            " ".join(reversed(parts)),
            "".join(parts),
        }
    if kind in ("date", "birth date"):
        year, month, day = text[:4], text[4:6], text[6:8]
        texts = {
            f"{day}.{month}.{year}",
            f"{month}/{day}/{year}",
            f"{day}/{month}/{year}",
            f"{year}-{month}-{day}",
            f"{year}/{month}/{day}",
        }
        texts |= {text[:8]} if kind == "birth date" else ({text} if len(text) > 13 else set())
    found: set[bytes] = set()
    for one in texts if text.isascii() else set().union(*map(_forms, texts)):
        for charset in _CHARSETS if not one.isascii() else ("ascii",):
            try:
                found.add(one.encode(charset).replace(b"\0", b"").lower())
            except UnicodeError:
                continue
    return {spelling for spelling in found if len(spelling) >= LEAST}


def _forms(text: str) -> set[str]:
    """A text that is not ASCII in either case and width, its accents composed, apart (as macOS names files) and off."""
    apart = unicodedata.normalize("NFD", text)
    bare = "".join(c for c in apart if not unicodedata.combining(c))
    forms = {
        text,
        unicodedata.normalize("NFC", text),
        unicodedata.normalize("NFKC", text),
        apart,
        *([bare] if len(bare) >= LEAST else []),
    }
    return forms | {form.lower() for form in forms} | {form.upper() for form in forms}


def _stands_alone(plain: bytes, at: int, spelling: bytes) -> bool:
    """Whether the match is a whole word or number: letters may touch digits, digits (of a hexadecimal name) no
    letters, and a number between points is part of a UID."""
    before, behind = plain[max(at - 2, 0) : at], plain[at + len(spelling) : at + len(spelling) + 2]
    if spelling[:1].isdigit() and (before[-1:].isalnum() or (before[-1:] == b"." and before[:1].isdigit())):
        return False
    if spelling[-1:].isdigit() and (behind[:1].isalnum() or (behind[:1] == b"." and behind[1:].isdigit())):
        return False
    return not (spelling[:1].isalpha() and before[-1:].isalpha()) and not (
        spelling[-1:].isalpha() and behind[:1].isalpha()
    )


def _certain(spelling: bytes) -> bool:
    """Long and varied enough that pixels don't spell it by chance."""
    return len(spelling) >= CERTAIN and len(set(spelling)) > 3


def _hashes(data: bytes) -> np.ndarray:
    """16-bit hash of every window of 4 bytes."""
    flat = np.frombuffer(data, dtype=np.uint8).astype(np.uint32)
    windows = flat[:-3] | flat[1:-2] << np.uint32(8) | flat[2:-1] << np.uint32(16) | flat[3:] << np.uint32(24)
    return (windows * np.uint32(2654435761)) >> np.uint32(16)

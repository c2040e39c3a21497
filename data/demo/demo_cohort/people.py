"""Invented people with names in ten DICOM character sets; none of the words occurs by chance."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .seeds import digits, generator


@dataclass(frozen=True)
class Alphabet:
    """A DICOM character set (PS3.3 C.12.1.1.2) and the word parts that names are put together from."""

    character_set: str | list[str]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    given: tuple[str, ...]


_ROMAN = Alphabet(
    "ISO_IR 6",
    ("Quarn", "Zwier", "Ploth", "Grauw", "Knyph", "Strelk", "Wromb", "Juxel"),
    ("beckelt", "ohtzky", "arnowitsch", "ummelink", "ivendorp", "olbrandt", "esquith", "yngvarson"),
    ("Ysmarella", "Thorbenius", "Ermelindra", "Quintavius", "Walpurgine", "Oktavelio", "Zephyrette", "Hroswithan"),
)
_NATIVE = (
    Alphabet(
        "ISO_IR 100",
        ("Brüx", "Hjælm", "Thøg", "Köfl", "Señag"),
        ("enhölt", "ersgård", "ülmann", "áraz"),
        ("Jörgine", "Bjårne", "Amélisse", "Günthilde"),
    ),
    Alphabet(
        "ISO_IR 101",
        ("Wrzą", "Ondř", "Łuzk", "Škvor"),
        ("dzewiecz", "ejkovič", "owsąd", "ánešť"),
        ("Żdzisłuwa", "Bořimíra", "Přemysłan", "Świętobora"),
    ),
    Alphabet(
        "ISO_IR 144",
        ("Журавл", "Щепкол", "Хвощен", "Крутояр"),
        ("ёнковский", "юбинцев", "ашвилов", "ыгинский"),
        ("Добромысл", "Святозара", "Лучезара", "Всемирадан"),
    ),
    Alphabet(
        "ISO_IR 126",
        ("Ξενοφ", "Ψαρρομ", "Θρασυκ", "Χελιδ"),
        ("ανόπουλος", "ιχαλάκης", "ουρνιάδης", "ωνιάτης"),
        ("Ευφροξένη", "Θεοπίστιος", "Καλλιθώη", "Ζηνοφάνης"),
    ),
    Alphabet(
        ["", "ISO 2022 IR 87"],
        ("鷲塚", "鵜沼", "鰐淵", "蓼科"),
        ("原", "崎", "瀬", "峠"),
        ("蔵之助", "鶴千代", "雪乃丞", "萩之介"),
    ),
    Alphabet(
        ["", "ISO 2022 IR 149"],
        ("독고", "황보", "선우", "제갈"),
        ("찬울", "빛샘", "늘봄", "솔휘"),
        ("가람슬", "다온별", "한결찬", "미르솔"),
    ),
    Alphabet(
        "GB18030",
        ("澹台", "濮阳", "亓官", "鲜于"),
        ("麟", "骞", "翯", "瓒"),
        ("霁月轩", "鹤骞瑜", "翊宸澜", "黛瑄珩"),
    ),
    Alphabet(
        "ISO_IR 127",
        ("الزهرا", "القرطب", "الشاطب", "البلنس"),
        ("ونيسان", "ياقوتي", "وضاحين", "يرموكي"),
        ("غيداقان", "زبرجدة", "لجينات", "سهيلان"),
    ),
    Alphabet(
        "ISO_IR 192",
        ("Çağlayğ", "Ğümüşk", "Işıldağ", "Öztürkm"),
        ("tanoğlu", "ışıkçıer", "ülbüşen", "ançetiner"),
        ("Şükrüyanaz", "Gülşahındaz", "Ayçelmınur", "Bülğentay"),
    ),
)


@dataclass(frozen=True)
class Person:
    """Everything by which a hospital knows a patient; all of it invented."""

    number: int
    surname: str
    given: str
    native: tuple[str, str] | None
    character_set: str | list[str]
    patient_id: str
    birth: dt.date
    age: int
    sex: str
    study_time: dt.datetime
    accession: str
    telephone: str
    address: str

    @cached_property
    def name(self) -> str:
        """The DICOM person name: roman alone, native alone, or roman=ideographic (PS3.5 section 6.2.1)."""
        if self.native is None:
            return f"{self.surname}^{self.given}"
        native = "^".join(self.native)
        ideographic = isinstance(self.character_set, list) or self.character_set == "GB18030"
        return f"{self.surname}^{self.given}={native}" if ideographic else native


def invent(number: int, *, prefix: str, age: int) -> Person:
    """Patient `number` of the hospital whose ids start with `prefix`; two numbers never share a surname (up to 512)."""
    random = generator("person", number)
    surname, given = _roman(number)
    alphabet = None if number % 3 == 0 else _NATIVE[int(random.integers(len(_NATIVE)))]
    native = None if alphabet is None else _native(alphabet, random)
    study = dt.datetime(2019, 1, 7, 7, 30) + dt.timedelta(
        days=int(random.integers(0, 1700)), seconds=int(random.integers(0, 36_000))
    )
    birth = study.date() - dt.timedelta(days=int(age * 365.25) + int(random.integers(20, 340)))
    return Person(
        number=number,
        surname=surname,
        given=given,
        native=native,
        character_set="ISO_IR 6" if alphabet is None else alphabet.character_set,
        patient_id=prefix + digits(10, "patient id", number),
        birth=birth,
        age=age,
        sex="FM"[int(random.integers(2))],
        study_time=study,
        accession="ACC" + digits(9, "accession", number),
        telephone="0555-" + digits(9, "telephone", number),
        address=f"{surname}weg {number + 3}, {digits(5, 'postcode', number)} Mohrunkenau",
    )


def _roman(number: int) -> tuple[str, str]:
    start = _ROMAN.starts[number % 8]
    end = _ROMAN.ends[(number // 8 + number) % 8]
    middle = "" if number < 64 else "ax" * (number // 64)
    return start + middle + end, _ROMAN.given[(number * 5 + number // 8) % 8]


def _native(alphabet: Alphabet, random: np.random.Generator) -> tuple[str, str]:
    start, end, given = (str(random.choice(parts)) for parts in (alphabet.starts, alphabet.ends, alphabet.given))
    return start + end, given

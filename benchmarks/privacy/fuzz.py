"""Coverage-guided fuzzing of the whole way of one file: read, clean, encode, read again.

    SCRATCH/bin/python benchmarks/privacy/fuzz.py CORPUS [libFuzzer options, e.g. -max_total_time=600 -timeout=20]

(SCRATCH as in benchmarks/requirements-privacy.txt, with atheris.) Seeds are small files with tokens planted in every
attribute; an input fails when anything but a refusal is raised, when the output cannot be read in full, when half a token
is in its attributes, or when it takes longer than the timeout. libFuzzer prints what it did and stops at the first failure;
with -ignore_crashes=1 -fork=1 it goes on and keeps the failing inputs in CORPUS/../failures.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["scanprior.privacy", "pydicom.filereader", "pydicom.values", "pydicom.encaps"]
):
    from pydicom import dcmread

    from scanprior.privacy.header import Names
    from scanprior.privacy.instance import clean_instance, read
    from scanprior.privacy.refused import Refused
    from scanprior.privacy.rules import OPTIONS, profile

from attack import TEXT_HALVES, attacks

NAMES = Names("P-0123456789", -400, bytes(range(32)))
KEEP = {"retain_device_identity", "retain_institution_identity"}  # these keep text on purpose
PROFILES = [profile("basic"), profile("research"), *(profile("research", (one,)) for one in OPTIONS if one not in KEEP)]


def once(data: bytes) -> None:
    """One input; the last byte chooses the profile."""
    if len(data) < 140:
        return
    chosen = PROFILES[data[-1] % len(PROFILES)]
    try:
        dataset = read(io.BytesIO(data[:-1]))
        made = clean_instance(dataset, profile=chosen, names=NAMES, text="keep", digest=lambda: "0").encode()
    except Refused:
        return
    after = dcmread(io.BytesIO(made))
    end = after.get_item("PixelData").value_tell
    for element in after.iterall():
        _ = element.value
    # A mutation may move a token into the pixels themselves, where only the eye could tell it from noise.
    head = made[:end].replace(b"\0", b"").lower()
    for half in TEXT_HALVES:
        if half in head:
            raise AssertionError("half a token is in the output")


def seeds(corpus: Path) -> None:
    """Attacked files of pydicom's CT slice, cut down to 8×8 pixels, and small compressed ones."""
    from pydicom.data import get_testdata_file

    corpus.mkdir(parents=True, exist_ok=True)
    for name in (
        "CT_small.dcm",
        "MR_small_RLE.dcm",
        "JPEG2000.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
        "MR_small_bigendian.dcm",
    ):
        dataset = dcmread(get_testdata_file(name))
        if name == "CT_small.dcm":
            dataset.Rows = dataset.Columns = 8
            dataset.PixelData = dataset.PixelData[:128]
        target = io.BytesIO()
        dataset.save_as(target)
        for number, attack in enumerate(attacks(target.getvalue())):
            if len(attack.content) < 60_000:
                (corpus / f"{name}-{attack.bundle}").write_bytes(attack.content + bytes((number,)))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    seeds(Path(sys.argv[1]))
    atheris.Setup(sys.argv, once)
    atheris.Fuzz()

"""Measure the removal of burned-in text: python benchmarks/privacy/text.py [IMAGES] [RESULTS.jsonl] [0 or 1]   (needs make ocr)

IMAGES synthetic pictures (CT-like, ultrasound-like, colour, palette, YBR, multi-frame, MONOCHROME1, 12 bits with a window),
each with three lines of names and dates in one of three fonts, heights and contrasts, go through the same code as files
do; a line counts as blanked when at least 90 % of its letters' pixels were emptied. Then clean pictures of the same kinds and the clean
CT and MR of SCANPRIOR_DATA/dicom (pixels that change there are false alarms), and the five real files with burned-in names.
Prints recall by height and contrast beside the targets, and processor seconds per frame. RESULTS are appended and read
again, so that an interrupted run goes on; two processes may share the pictures (0: even ones, 1: odd ones).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.dataset import Dataset
from scipy import ndimage

from scanprior.privacy import pixels
from scanprior.privacy.burned import remove_writing
from scanprior.privacy.header import Names
from scanprior.privacy.instance import clean_instance
from scanprior.privacy.refused import Refused
from scanprior.privacy.rules import profile
from scanprior.privacy.text import TOMOGRAPHIC

DATA = Path(os.environ.get("SCANPRIOR_DATA", Path(__file__).parents[3] / "shared/data"))
FONTS = [
    Path(matplotlib.__file__).parent / f"mpl-data/fonts/ttf/{name}.ttf"
    for name in ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif")
]
LINES = ("DOE^JANE 1970-01-02", "SMITH, JOHN", "MRN 0047110", "MUELLER ANNA", "03/12/2019 10:11", "KOWALSKI^JAN", "St. Mary Hospital",
         "DOB 12.04.1939", "O'Neil Patrick", "ID: 55-1234-7", "Garcia Lopez M", "NGUYEN THI HOA")  # fmt: skip
KINDS = ("ct", "us", "us margin", "colour", "palette", "ybr", "frames", "inverted", "window")
HEIGHTS = (7, 10, 14, 20)  # pixels of a capital letter
CONTRASTS = (255, 120, 70, 40)  # grey levels above the surroundings; 255: white
REAL = ("us_burned_patient_banner", "us_burned_doe_john_rle", "us_burned_cardio_palette_rle", "nosop_burned_chest_stiles",
        "nosop_burned_angio_mismatch")  # fmt: skip


def ground(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A picture without text, grey levels 0-255 as floats."""
    if kind in ("ct", "inverted", "window"):
        i, j = np.indices((512, 512)) - 256
        size = rng.uniform(0.8, 1.1)
        body = (i / (150 * size)) ** 2 + (j / (205 * size)) ** 2 < 1
        lungs = ((np.abs(j) - 90) / 60) ** 2 + (i / 100) ** 2 < 1
        spine = (i - 90) ** 2 + j**2 < 22**2
        made = body * 120.0 - 85.0 * (lungs & body) + 90.0 * spine + body * rng.normal(0, 8, body.shape)
        return np.clip(ndimage.gaussian_filter(made, 0.7), 0, 255)
    i, j = np.indices((480, 640))
    far, turn = np.hypot(i - 20, j - 320), np.arctan2(j - 320, i - 20)
    fan = (far < 430) & (np.abs(turn) < 0.7) & (far > 60)
    speckle = ndimage.gaussian_filter(rng.gamma(2, rng.uniform(10, 22), fan.shape), 0.8)
    tissue = 0.5 + 0.5 * ndimage.gaussian_filter(rng.normal(0, 12, fan.shape), 18) + 0.3 * np.cos(far / 40)
    return np.where(fan, np.clip(speckle * np.clip(tissue, 0.1, 1.5), 0, 210), 0)


def written(
    kind: str, picture: np.ndarray, height: int, contrast: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The picture with three lines, and a mask of the letters of each."""
    font = ImageFont.truetype(str(FONTS[int(rng.integers(3))]), round(height / 0.73))
    rows, columns = picture.shape
    layer = Image.new("L", (columns, rows))
    draw = ImageDraw.Draw(layer)
    boxes: list[tuple[int, ...]] = []
    letters: list[np.ndarray] = []
    tries = 0
    while len(boxes) < 3:
        tries += 1
        if tries % 50 == 0:  # the first lines leave no room for the third: begin anew
            boxes, letters, layer = [], [], Image.new("L", (columns, rows))
            draw = ImageDraw.Draw(layer)
        line = LINES[int(rng.integers(len(LINES)))]
        left, top, right, bottom = draw.textbbox((0, 0), line, font=font)
        low = 0.45 if kind in ("us", "colour", "palette", "ybr", "frames") else 0.02
        high = 0.2 if kind == "us margin" else 0.95
        y = int(rng.uniform(low, high) * (rows - bottom))
        x = int(rng.uniform(0.02, 0.3 if kind == "us margin" else 0.95) * max(columns - right - 4, 1))
        box = (y + int(top), x + int(left), y + int(bottom), x + int(right))
        if right > columns - 8 or any(box[0] < b[2] + 8 and b[0] < box[2] + 8 for b in boxes):
            continue
        before = np.asarray(layer).copy()
        draw.text((x, y), line, font=font, fill=255)
        boxes.append(box)
        letters.append((np.asarray(layer) != before) & (np.asarray(layer) > 80))
    cover = np.asarray(layer) / 255.0
    made = np.maximum(picture, cover * 255) if contrast == 255 else picture + cover * contrast
    return np.clip(made, 0, 255), letters


def as_dataset(kind: str, picture: np.ndarray, other: np.ndarray) -> tuple[Dataset, np.ndarray]:
    """The picture as an image of its kind: header, and stored values as `pixels.decoded` gives them."""
    dataset = Dataset()
    grey = picture.astype(np.uint8)
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if kind in ("colour", "ybr"):  # decoders turn YBR into RGB: what is left is the loss of its 8 bits
        dataset.PhotometricInterpretation = "RGB"
        tint = np.stack([picture, picture * 0.9, picture * 0.8], axis=-1)
        if kind == "ybr":
            tint = np.asarray(Image.fromarray(tint.astype(np.uint8)).convert("YCbCr").convert("RGB"))
        return dataset, tint.astype(np.uint8)[np.newaxis]
    if kind == "palette":
        dataset.PhotometricInterpretation = "PALETTE COLOR"
        order = np.random.default_rng(5).permutation(256)  # indices that say nothing of brightness
        table = np.zeros(256, dtype=np.uint16)
        table[order] = np.arange(256) * 257
        for colour in ("Red", "Green", "Blue"):
            setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
            setattr(dataset, f"{colour}PaletteColorLookupTableData", table.tobytes())
        return dataset, order[grey].astype(np.uint8)[np.newaxis]
    if kind == "frames":
        return dataset, np.stack([other.astype(np.uint8), grey])
    if kind == "inverted":
        dataset.PhotometricInterpretation = "MONOCHROME1"
        return dataset, (255 - grey)[np.newaxis]
    if kind == "window":
        dataset.WindowCenter, dataset.WindowWidth = 1100, 900
        dataset.BitsStored, dataset.BitsAllocated, dataset.PixelRepresentation = 12, 16, 0
        return dataset, (600 + picture * 4).astype(np.uint16)[np.newaxis]
    return dataset, grey[np.newaxis]


def judged(number: int, *, text: bool) -> dict[str, Any]:
    """One synthetic picture through the code: which lines were blanked, or that it was refused."""
    rng = np.random.default_rng([11, number, text])
    kind, height = KINDS[number % len(KINDS)], HEIGHTS[number // len(KINDS) % 4]
    contrast = CONTRASTS[number // (4 * len(KINDS)) % 4]
    clean = ground(kind, rng)
    picture, letters = written(kind, clean, height, contrast, rng) if text else (clean, [])
    dataset, stored = as_dataset(kind, picture, ground(kind, rng) if kind == "frames" else clean)
    begun = time.process_time()
    row = {"kind": kind, "height": height, "contrast": contrast, "refused": False, "hits": [], "changed": 0}
    try:
        cleaned = remove_writing(dataset, stored)
    except Refused as refused:
        row |= {"refused": True, "why": refused.sentence}
    else:
        if cleaned.stored is not None:
            gone = (cleaned.stored[-1] != stored[-1]).reshape(*stored.shape[1:3], -1).any(axis=-1)
            row["hits"] = [bool(gone[mask].mean() >= 0.9) for mask in letters]
            row["changed"] = int(gone.sum())
        else:
            row["hits"] = [False] * len(letters)
    return row | {"seconds": (time.process_time() - begun) / len(stored)}


def real_clean() -> list[tuple[str, str]]:
    """Clean CT and MR slices under text=remove: what changed."""
    found: list[tuple[str, str]] = []
    for file in sorted((DATA / "dicom").glob("*.dcm")):
        dataset = dcmread(file, force=True)
        if str(dataset.get("SOPClassUID", "")) not in TOMOGRAPHIC or "PixelData" not in dataset:
            continue
        if file.stem.startswith("ct_ts") and file.stem != "ct_ts_implicit_le":
            continue  # the same slice in twelve more syntaxes
        try:
            frames = pixels.decoded(dataset)[:2]
            changed = remove_writing(dataset, frames, vouch=False).frames
            found.append((file.stem, f"{changed} of {len(frames)} frames changed"))
        except Refused as refused:
            found.append((file.stem, f"refused: {refused.sentence}"))
    return found


def real_burned() -> list[tuple[str, str]]:
    """The five real files: written with blanked pixels, or refused."""
    found: list[tuple[str, str]] = []
    for name in REAL:
        try:
            dataset = dcmread(DATA / "dicom" / f"{name}.dcm", force=True)
            made = clean_instance(
                dataset, profile=profile("basic"), names=Names("P-0", -400, bytes(32)), text="auto", digest=lambda: "0"
            )
            found.append(
                (
                    name,
                    f"blanked in {made.actions['writing-blanked']} frames"
                    if made.stored is not None
                    else "NOT BLANKED",
                )
            )
        except Refused as refused:
            found.append((name, f"quarantined: {refused.sentence}"))
    return found


def main(images: int, results: Path | None, part: int | None = None) -> None:
    """Run, print, compare with the targets; `part` 0 or 1: every second picture only, so that two processes share the work."""
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    done = {}
    if results is not None and results.exists():
        done = {row["case"]: row for row in map(json.loads, results.read_text().splitlines())}
    rows: list[dict[str, Any]] = []
    for text in (True, False):
        for number in range(images if text else images // 6):
            if part is not None and number % 2 != part:
                continue
            case = f"{'text' if text else 'clean'} {number}"
            row = done.get(case) or {"case": case, **judged(number, text=text)}
            rows.append(row)
            if results is not None and case not in done:
                with results.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
    if part is not None:
        return
    table: dict[tuple[int, int], list[bool]] = defaultdict(list)
    safe: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for row in rows:
        if row["case"].startswith("text"):
            key = row["height"], row["contrast"]
            table[key] += row["hits"]
            safe[key] += [True] * 3 if row["refused"] else row["hits"]
    print("lines blanked of those in accepted pictures / lines blanked or in quarantined pictures")
    for height in HEIGHTS:
        cells = [f"{contrast}: {sum(table[height, contrast])}/{len(table[height, contrast])} / {sum(safe[height, contrast])}/"
                 f"{len(safe[height, contrast])}" for contrast in CONTRASTS]  # fmt: skip
        print(f"{height:3} px   " + "   ".join(cells))
    white = [hit for (height, contrast), hits in table.items() if height >= 10 and contrast == 255 for hit in hits]
    faint = [hit for (height, _), hits in safe.items() if height >= 10 for hit in hits]
    clean = [row for row in rows if row["case"].startswith("clean")]
    print(f"white, 10 px and more: {100 * np.mean(white):.1f} % of {len(white)} blanked (target: at least 99)")
    print(
        f"contrast 40 and more, 10 px and more: {100 * np.mean(faint):.1f} % of {len(faint)} blanked or quarantined (target: at least 99)"
    )
    written_ = [row for row in rows if row["case"].startswith("text")]
    print(f"quarantined: {sum(row['refused'] for row in written_)} of {len(written_)} with text, "
          f"{sum(row['refused'] for row in clean)} of {len(clean)} clean")  # fmt: skip
    print(f"clean synthetic pictures changed: {sum(row['changed'] > 0 for row in clean)} of {len(clean)} (target: 0)")
    for name, what in real_clean():
        print(f"clean {name}: {what}")
    for name, what in real_burned():
        print(f"burned in {name}: {what}")
    print(
        f"processor seconds per frame: mean {np.mean([row['seconds'] for row in rows]):.1f}, most {max(row['seconds'] for row in rows):.1f}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 216, Path(sys.argv[2]) if len(sys.argv) > 2 else None,
         int(sys.argv[3]) if len(sys.argv) > 3 else None)  # fmt: skip

"""Plant identifiers in every readable DICOM file at hand, de-identify, and count what survives.

    python benchmarks/privacy/planted.py [--every N] [--first K] [--options]

Carriers are pydicom's own test files and SCANPRIOR_DATA/dicom (every N-th from the K-th on). Prints per profile (and with
--options per option of PS3.15) files, survivors, crashes and what was processed, beside the limits of 0, 0 and 95 %.
Faces and burned-in text are measured elsewhere (faces.py, text.py), so both are kept here; without --options text is once
more left to `auto`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from attack import Attack, attacks, structure, survivors
from pydicom import dcmread
from pydicom.data import get_testdata_files

from scanprior.privacy.pseudonyms import file_pseudonym
from scanprior.privacy.rules import OPTIONS
from scanprior.stages.deidentify import deidentify_folder

KEY = bytes(range(32))
# Classes that hold one image or a stack of them (PS3.4 Table B.5-1), none of them a report, document or contour.
IMAGES = tuple(f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in (
    "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "2", "2.1", "2.2", "3.1", "4", "4.1", "4.4", "6.1", "7", "7.1", "7.2", "7.3",
    "7.4", "12.1", "12.2", "20", "77.1.1", "77.1.2", "77.1.4", "77.1.6", "128", "128.1", "130", "481.1"))  # fmt: skip


def main() -> None:
    """Plant, run every configuration, print; exit 1 when anything survived or crashed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--options", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    carriers = readable()[arguments.first :: arguments.every]
    wanted = [("basic", (), "keep"), ("research", (), "keep")]
    if arguments.options:
        wanted += [("basic", (option,), "keep") for option in OPTIONS]
    else:
        wanted.append(("research", (), "auto"))  # three seconds for every frame that may carry writing
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        planted, plain = plant(carriers, place / "raw"), place / "plain"
        print(
            f"{len(carriers)} carriers, {len(planted)} files with {sum(len(a.categories) for a in planted.values())} tokens"
        )
        bad = sum(measure(place, planted, *configuration) for configuration in wanted)
        bad += processed(carriers, plain, place / "clean")
    sys.exit(bool(bad))


def readable() -> list[Path]:
    """Every file that pydicom can read, with or without force, and that has a SOP class."""
    shared = Path(os.environ["SCANPRIOR_DATA"]) / "dicom"
    found: list[Path] = []
    for path in [*map(Path, sorted(get_testdata_files())), *sorted(shared.glob("*.dcm"))]:
        try:
            if path.is_file() and path.suffix != ".gz" and "SOPClassUID" in dcmread(path, force=True):
                found.append(path)
        except Exception:  # noqa: BLE001  whatever pydicom itself can't read is no carrier
            continue
    return found


def plant(carriers: list[Path], folder: Path) -> dict[str, Attack]:
    """Write the attacked files; returns them by their name relative to `folder`."""
    planted: dict[str, Attack] = {}
    for number, path in enumerate(carriers):
        content = path.read_bytes()
        made = [*attacked(content), *(structure(content) if path.name == "CT_small.dcm" else ())]
        for attack in made:
            name = f"ZQXJV-KWPYB-{number}/Oberhuber-{attack.bundle}.dcm"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(attack.content)
            planted[name] = attack._replace(bundle=f"{path.name} {attack.bundle}", content=b"")
    return planted


def attacked(content: bytes) -> list[Attack]:
    """The bundles that pydicom can write into this carrier."""
    found: list[Attack] = []
    maker = attacks(content)
    while True:
        try:
            found.append(next(maker))
        except StopIteration:
            return found
        except Exception as error:  # noqa: BLE001  a broken carrier that can't be written again carries nothing
            print(f"  a carrier cannot be written again: {type(error).__name__}")
            return found


def measure(place: Path, planted: dict[str, Attack], profile: str, options: tuple[str, ...], text: str) -> int:
    """Run one configuration; prints its line and returns survivors + crashes + files without an outcome."""
    out = place / f"{profile}-{'-'.join(options)}-{text}"
    begin = time.perf_counter()
    try:
        deidentify_folder(place / "raw", out, key=KEY, profile=profile, options=options, faces="keep", text=text)
        crashes = 0
    except Exception as error:  # noqa: BLE001  a crash is what is counted
        print(f"  crash: {type(error).__name__}")
        crashes = 1
    lines = [json.loads(line) for line in (out / "audit.jsonl").read_text().splitlines()] if not crashes else []
    by_label = {file_pseudonym(KEY, name): name for name in planted}
    allowed = retained(options)
    found: Counter[str] = Counter()
    for line in lines:
        if line["outcome"] == "written":
            attack = planted[by_label[line["file"]]]
            data = (out / line["output"]).read_bytes()
            for what in survivors(data):
                category = attack.categories.get(int(what.split()[1]), what) if what.startswith("token") else what
                if not allowed(category, attack.bundle):
                    found[f"{attack.bundle.split()[-1]}: {category}"] += 1
    for file in out.rglob("*"):
        if not file.name.endswith(".dcm") or file.is_dir():
            hidden = survivors(file.name.encode() + b" " + (file.read_bytes() if file.is_file() else b""))
            found.update(f"name or audit: {what}" for what in hidden)
    outcomes = Counter(line["outcome"] for line in lines)
    lost = len(planted) - sum(outcomes.values())
    reasons = Counter(line["reason"] for line in lines if line["outcome"] == "quarantined")
    label = f"{profile} {' '.join(options)} text={text}"
    print(f"{label}: {dict(outcomes)} in {time.perf_counter() - begin:.0f} s; survivors {sum(found.values())} (limit 0), "
          f"crashes {crashes} (limit 0), without outcome {lost} (limit 0); {dict(reasons)}")  # fmt: skip
    for category, count in found.most_common(40):
        print(f"  SURVIVED {count:>4} × {category}")
    return sum(found.values()) + crashes + lost


def retained(options: tuple[str, ...]):
    """Which survivors an option of the standard asks for, from the table as published: the values it keeps (K)."""
    rows = json.loads((Path(os.environ["SCANPRIOR_DATA"]) / "ps315/table_e1_1.json").read_text())["rows"]
    kept = [row for row in rows for option in options if row["options"].get(option) == "K"]
    names = {row["tag"].strip("()").replace(",", "").lower() for row in kept} | {
        row.get("keyword", "") for row in kept
    } - {""}
    dated = any(row.get("vr") in ("DA", "DT") for row in kept) and "retain_long_modified_dates" not in options
    places = any(row.get("keyword") in ("InstitutionName", "StationName") for row in kept)

    def allowed(category: str, bundle: str) -> bool:
        if names & set(category.split()):
            return True
        if bundle.endswith(" known"):
            return places and category == "rosenau"
        if dated and (category.startswith("date") or category == "19310307"):
            return True
        # Halves of a token that is counted whole, too; a token in an attribute that is not kept shows up by its number.
        return bool(names) and category in ("zqxjv", "kwpyb")

    return allowed


def processed(carriers: list[Path], plain: Path, out: Path) -> int:
    """How many of the carriers that are decodable primary images come through unplanted; returns 1 when under 95 %."""
    decodable: dict[str, str] = {}
    for number, path in enumerate(carriers):
        dataset = dcmread(path, force=True)
        kind = [str(part) for part in dataset.get("ImageType") or ("", "PRIMARY")]
        if dataset.SOPClassUID not in IMAGES or len(kind) < 2 or kind[1] != "PRIMARY":
            continue
        try:
            _ = dataset.pixel_array
        except Exception:  # noqa: BLE001  not decodable by pydicom's plugins: not asked for
            continue
        name = f"{number}/{path.name}"
        (plain / name).parent.mkdir(parents=True)
        (plain / name).write_bytes(path.read_bytes())
        decodable[name] = path.name
    deidentify_folder(plain, out, key=KEY, profile="research", faces="keep", text="keep")
    lines = {line["file"]: line for line in map(json.loads, (out / "audit.jsonl").read_text().splitlines())}
    refused = {name: lines[file_pseudonym(KEY, name)] for name in decodable}
    refused = {name: line for name, line in refused.items() if line["outcome"] == "quarantined"}
    share = 1 - len(refused) / len(decodable)
    print(
        f"decodable primary images processed: {len(decodable) - len(refused)} of {len(decodable)} ({share:.1%}, limit 95 %)"
    )
    for name, line in refused.items():
        print(f"  refused {decodable[name]}: {line['reason']}: {line['sentence']}")
    return share < 0.95


if __name__ == "__main__":
    main()

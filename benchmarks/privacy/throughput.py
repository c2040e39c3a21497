"""Headers per second, beside pydicom's bare read and write and the fastest Python peers, on the same files in one call.

    SCRATCH/bin/python benchmarks/privacy/throughput.py [FILES]

(see benchmarks/requirements-privacy.txt for SCRATCH). Makes FILES (600) copies of a 512×512 CT slice with 257 elements, in
series of 100, runs each tool in its own process, in turn, and prints files per second of the clock and of the processor, the
medians of seven rounds, and the ratios beside their targets. Neither text recognition nor defacing is on; scanprior's planning and
audit are included. On a busy machine only the processor's figures mean anything, and two workers can't be judged.
"""

from __future__ import annotations

import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file

ROUNDS = 7
TOOLS = {
    "pydicom read + write": """
import time
from pathlib import Path
from pydicom import dcmread
begin, worked = time.perf_counter(), time.process_time()
for file in sorted(source.rglob("*.dcm")):
    dcmread(file).save_as(target / file.name)
""",
    "scanprior, 1 worker": """
from scanprior.stages.deidentify import deidentify_folder
import time
begin, worked = time.perf_counter(), time.process_time()
deidentify_folder(source, target, key=bytes(range(32)), profile=PROFILE, faces="keep", workers=1)
""",
    "scanprior, 2 workers": """
from scanprior.stages.deidentify import deidentify_folder
import time
begin, worked = time.perf_counter(), time.process_time()
deidentify_folder(source, target, key=bytes(range(32)), profile=PROFILE, faces="keep", workers=2)
""",
    "dicom-anonymizer": """
from dicomanonymizer.simpledicomanonymizer import anonymize_dicom_file
import time
begin, worked = time.perf_counter(), time.process_time()
for file in sorted(source.rglob("*.dcm")):
    anonymize_dicom_file(str(file), str(target / file.name))
""",
    "dicognito": """
from dicognito.anonymizer import Anonymizer
from pydicom import dcmread
import time
begin, worked = time.perf_counter(), time.process_time()
tool = Anonymizer(seed="x")
for file in sorted(source.rglob("*.dcm")):
    dataset = dcmread(file)
    tool.anonymize(dataset)
    dataset.save_as(target / file.name)
""",
}
HEAD = """
import logging, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
source, target = Path(sys.argv[1]), Path(sys.argv[2])
PROFILE = sys.argv[3]
"""
TAIL = """
wall, cpu = time.perf_counter() - begin, time.process_time() - worked
print("SECONDS", wall, cpu, len(list(target.rglob("*.dcm"))))
"""


def main(count: int) -> None:
    """Make the files, run every tool in turn, seven times, and print."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        make(place / "raw", count)
        times: dict[str, list[tuple[float, float]]] = {}
        for number in range(ROUNDS):
            for tool in TOOLS:
                target = place / f"{number}-{tool.replace(' ', '')}"
                found = run(tool, place / "raw", target, count)
                if found is not None:
                    times.setdefault(tool, []).append(found)
                shutil.rmtree(target)
    rates = {}
    for tool, found in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        rates[tool] = (count / wall, count / cpu)
    for tool, (wall, cpu) in rates.items():
        own = f", {cpu:6.0f} per processor second" if "2 workers" not in tool else ""
        print(f"{tool:<22} {wall:6.0f} files/s{own}")
    ours, bare = rates["scanprior, 1 worker"], rates["pydicom read + write"]
    print(
        f"one worker to bare read + write: {ours[0] / bare[0]:.2f} by the clock, {ours[1] / bare[1]:.2f} by processor (target 1.0)"
    )
    peers = [rate for tool, rate in rates.items() if tool.startswith("dico")]
    if peers:
        wall, cpu = (max(column) for column in zip(*peers, strict=True))
        print(
            f"one worker to the fastest peer:  {ours[0] / wall:.2f} by the clock, {ours[1] / cpu:.2f} by processor (target 2.5)"
        )
    print(f"two workers to one:              {rates['scanprior, 2 workers'][0] / ours[0]:.2f} (target 1.6), "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip


def make(folder: Path, count: int) -> None:
    """Copies of one slice under their own UIDs and positions, with as many elements as scanners write."""
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    pixels = np.kron(dataset.pixel_array, np.ones((4, 4), np.int16)).astype("<i2")
    dataset.Rows = dataset.Columns = 512
    dataset.PixelData = pixels.tobytes()
    dataset.PatientBirthDate = dataset.StudyDate = "20040119"
    for element in range(257 - len(dataset)):
        dataset.add_new(0x00191000 + element, "LO" if element % 2 else "DS", f"{element}")
    for number in range(count):
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"1.2.3.{number // 100}", "1.2.4"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.5.{number}"
        dataset.InstanceNumber, dataset.ImagePositionPatient = number, [0, 0, number % 100 * 5]
        target = io.BytesIO()
        dataset.save_as(target)
        path = folder / f"{number // 100}/{number:06d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(target.getvalue())


def run(tool: str, source: Path, target: Path, count: int) -> tuple[float, float] | None:
    """Seconds of the clock and of the processor of one tool in its own process after its imports; None where it is missing."""
    target.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([sys.executable, "-c", HEAD + TOOLS[tool] + TAIL, str(source), str(target), "basic"],
                          capture_output=True, text=True, env=environment, check=False)  # fmt: skip
    if "SECONDS" not in done.stdout:
        print(f"{tool}: not run ({done.stderr.strip().splitlines()[-1][:100] if done.stderr.strip() else '?'})")
        return None
    wall, cpu, written = done.stdout.split("SECONDS")[1].split()
    if int(written) != count:
        print(f"{tool}: wrote {written} of {count} files")
        return None
    return float(wall), float(cpu)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)

"""Peak memory of `scanprior deidentify` at 100 and at 10,000 files: OMP_NUM_THREADS=1 python benchmarks/privacy/memory.py [FILES]

Tiny CT slices (8×8 pixels) in series of 50, one worker; each count runs in a process of its own. Prints the peak resident
memory of both and their ratio beside the target (equal within 10 %).
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file

RUN = """
import resource, sys
from pathlib import Path
from scanprior.stages.deidentify import deidentify_folder
done = deidentify_folder(Path(sys.argv[1]), Path(sys.argv[2]), key=bytes(range(32)), profile="research")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, done.files["written"])
"""


def main(most: int) -> None:
    """Make the files, run both counts, print."""
    peaks: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as name:
        for count in (100, most):
            raw = Path(name) / f"raw{count}"
            make(raw, count)
            arguments = [sys.executable, "-c", RUN, str(raw), str(Path(name) / f"out{count}")]
            done = subprocess.run(arguments, capture_output=True, text=True, check=True)
            peak, written = map(int, done.stdout.split())
            if written != count:
                sys.exit(f"only {written} of {count} files were written")
            peaks[count] = peak
            print(f"{count:>6} files: {peak / 1024:.1f} MB at the peak", flush=True)
    ratio = peaks[most] / peaks[100]
    print(f"ratio {ratio:.3f} (target 1.000 ± 0.1)")
    sys.exit(abs(ratio - 1) > 0.1)


def make(folder: Path, count: int) -> None:
    """Slices under their own UIDs, fifty to a series and a patient."""
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.remove_private_tags()
    dataset.PatientBirthDate = dataset.StudyDate = "20040119"
    dataset.Rows = dataset.Columns = 8
    dataset.PixelData = dataset.PixelData[:128]
    for number in range(count):
        patient = number // 50
        dataset.PatientID, dataset.PatientName = f"MRN{patient:07d}", f"PERSON{patient}^X"
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"1.2.3.{patient}", f"1.2.4.{patient}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.5.{number}"
        dataset.ImagePositionPatient = [0, 0, number % 50 * 5]
        target = io.BytesIO()
        dataset.save_as(target)
        path = folder / f"{patient}/{number:06d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(target.getvalue())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)

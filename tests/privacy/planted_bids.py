"""A BIDS data set with an identifier in every place where people and converters leave one (tokens begin with QZX)."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Extension

MRN, BORN, SEEN = "QZX00471", "19390412", "2019-03-12"


def image(path, shape=(6, 7, 8)):
    made = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), np.eye(4))
    made.header["descrip"], made.header["aux_file"], made.header["db_name"] = b"QZXDESCRIP", b"QZXAUX", b"QZXDB"
    made.header.extensions.append(Nifti1Extension(6, b"QZXEXTENSION comment"))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(made, path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


LEAKY = {
    "RepetitionTime": 2.0, "EchoTime": 0.03, "FlipAngle": 90, "SliceTiming": [0.0, 1.0], "Manufacturer": "SIEMENS QZXPLANT",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "QZXTYPE"], "PhaseEncodingDirection": "j-", "MagneticFieldStrength": 3,
    "PatientName": "QZXFAMILY^QZXGIVEN", "PatientID": MRN, "PatientBirthDate": BORN, "PatientSex": "F", "AccessionNumber": "QZXACC1",
    "InstitutionName": "QZXHOSPITAL", "InstitutionAddress": "QZXSTREET 5", "StationName": "QZXSTATION", "DeviceSerialNumber": "471147",
    "SeriesDescription": "t1 mprage QZXSERIES", "ProtocolName": "QZXPROTOCOL", "ImageComments": "QZXCOMMENT",
    "AcquisitionDateTime": f"{SEEN}T10:11:12", "AcquisitionTime": "10:11:12.25", "StudyInstanceUID": "1.3.12.2.1107.5.471",
    "SeriesInstanceUID": "1.3.12.2.1107.5.472", "InversionTime": "QZXNUMBER", "SAR": 555123456, "PixelBandwidth": {"QZXKEY": 1},
    "global": {"const": {"PatientName": "QZXDEEP"}}, "QZXKEYNAME": 1, "TaskDescription": "QZXTASKTEXT", "TimeZero": "10:11:12",
    "Units": "QZXUNITS", "MTState": "QZXFLAG", "BandwidthPerPixelPhaseEncode": 471147,
}  # fmt: skip


def build(root):
    """Write the data set; returns how many images it has that can be written."""
    text(root / "dataset_description.json", {"Name": "QZXSTUDY", "BIDSVersion": "1.4.0", "License": "CC0", "Authors": ["QZXAUTHOR"],
                                             "SourceDatasets": [{"URL": "file:///QZXPATH"}]})  # fmt: skip
    text(root / "participants.tsv", "participant_id\tage\tsex\tQZXCOLUMN\tgroup\tname\n"
         f"sub-{MRN}\t97\tF\tQZXCELL\tcontrol\tQZXFAMILY\n"
         "sub-02\t45.5\tM\tQZXOTHER\tQZXGROUP\tQZXB\nsub-gone\t3\tF\tx\tcontrol\ty\n")  # fmt: skip
    text(root / "participants.json", {"QZXCOLUMN": {"Description": "QZXDESCRIBED"}})
    for name in ("README", "CHANGES", ".bidsignore", "code/run_QZX.py", "sourcedata/QZX.txt", "derivatives/log/QZX.txt", "LICENSE",
                 ".git/QZXconfig", "stimuli/QZX.txt", "phenotype/QZX.tsv", "CITATION.cff", "notes QZX.txt"):  # fmt: skip
        text(root / name, f"QZXFREE text by QZXAUTHOR about {MRN}")
    image(root / "sourcedata/QZX.nii.gz")
    image(root / "derivatives/x/sub-02/anat/sub-02_space-QZX_T1w.nii.gz")
    text(root / "task-rest_bold.json", LEAKY | {"TaskName": "QZXREST"})
    first = root / f"sub-{MRN}" / "ses-20190312"
    name = f"sub-{MRN}_ses-20190312"
    image(first / f"anat/{name}_acq-QZXACQ_run-01_T1w.nii.gz")
    text(first / f"anat/{name}_acq-QZXACQ_run-01_T1w.json", LEAKY)
    image(first / f"anat/{name}_mprage_T1w.nii.gz")  # no BIDS name
    image(first / f"func/{name}_task-rest_dir-AP_bold.nii.gz", (5, 5, 5, 3))
    text(
        first / f"func/{name}_task-rest_dir-AP_events.tsv",
        "onset\tduration\ttrial_type\tQZXNOTE\n1.25\t2\tQZXKIND\tQZXSAID\n4\tQZX\trest\tx\n",
    )
    text(first / f"func/{name}_task-rest_dir-AP_physio.tsv.gz", "QZXPHYSIO")
    image(first / f"dwi/{name}_dwi.nii.gz", (4, 4, 4, 3))
    text(first / f"dwi/{name}_dwi.bval", "0 1000 1000\n")
    text(first / f"dwi/{name}_dwi.bvec", "0 1 0\n0 0 1\n0 0 0\n")
    image(first / f"fmap/{name}_phasediff.nii.gz")
    text(first / f"fmap/{name}_phasediff.json", {"EchoTime1": 0.004, "EchoTime2": 0.006, "B0FieldIdentifier": "QZXFIELD",
                                                 "IntendedFor": [f"ses-20190312/func/{name}_task-rest_dir-AP_bold.nii.gz",
                                                                 "ses-1/QZX.nii"]})  # fmt: skip
    text(first / f"{name}_scans.tsv", "filename\tacq_time\toperator\n"
         f"anat/{name}_acq-QZXACQ_run-01_T1w.nii.gz\t{SEEN}T10:11:12\tQZXOPERATOR\n"
         f"func/{name}_task-rest_dir-AP_bold.nii.gz\t{SEEN}T11:11:12\tx\n"
         f"anat/{name}_mprage_T1w.nii.gz\t{SEEN}\tx\n")  # fmt: skip
    text(
        root / f"sub-{MRN}/sub-{MRN}_sessions.tsv",
        f"session_id\tacq_time\tage\tnote\nses-20190312\t{SEEN}\t97\tQZXNOTE\n",
    )
    text(first / f"anat/{name}_acq-QZXACQ_run-01_T1w.txt", "QZXBESIDE")
    image(root / "sub-02/anat/sub-02_T1w.nii")
    text(root / "sub-02/anat/sub-02_T2w.json", LEAKY)  # no image
    image(root / "sub-02/eeg/sub-02_QZX.nii.gz")
    return 5

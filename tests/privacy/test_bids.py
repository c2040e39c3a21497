"""BIDS and plain NIfTI trees: they keep their shape, pass as BIDS, and no planted identifier survives anywhere."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import PurePosixPath

import nibabel as nib
import numpy as np
import pytest
from planted_bids import BORN, MRN, SEEN, build, image, text

from scanprior.errors import ScanpriorError
from scanprior.privacy import bids_tables
from scanprior.privacy.bids_names import is_plain, parse, rebuilt, target_of
from scanprior.privacy.header import Names
from scanprior.privacy.pseudonyms import date_offset, patient_pseudonym
from scanprior.privacy.refused import Refused
from scanprior.stages.deidentify import deidentify_folder
from scanprior.stages.verify import verify

KEY = bytes(range(32))
NAMES = Names("P-0123456789", -400, KEY)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("bids")
    build(root / "raw")
    done = deidentify_folder(root / "raw", root / "out", key=KEY, profile="research")
    return root, done


def files(folder):
    return sorted(file for file in folder.rglob("*") if file.is_file())


def label(identity):
    return "sub-" + patient_pseudonym(KEY, identity).replace("-", "")


def one(folder, pattern):
    (found,) = folder.rglob(pattern)
    return found


def test_no_planted_identifier_survives_in_any_name_or_byte(made):
    root, _ = made
    for file in files(root / "out"):
        content = file.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        seen = (file.relative_to(root / "out").as_posix().encode() + b"\n" + content).lower()
        for secret in (
            b"qzx",
            MRN.lower().encode(),
            BORN.encode(),
            SEEN.encode(),
            b"20190312",
            b"471147",
            b"1.3.12.2.1107",
            b"555123456",
        ):
            assert secret not in seen, (file.name, secret)
    assert verify(root / "raw", root / "out", KEY) == []


def test_every_file_has_its_line_and_nothing_that_fits_is_lost(made):
    root, done = made
    assert sum(done.files.values()) == len(files(root / "raw"))
    assert len(list((root / "out").rglob("*.nii*"))) == 5 and done.patients == 2
    assert done.reasons == {"bids-name": 2, "code": 1, "derivatives": 2, "free-text": 6, "hidden": 2, "no-image": 1, "phenotype": 1,
                            "sourcedata": 2, "stimuli": 1, "unsupported-table": 1}  # fmt: skip


def test_the_output_passes_as_bids(made):
    validator = pytest.importorskip("bids_validator", reason="the package bids-validator is not installed (make env)")
    root, _ = made
    ignored = {"audit.html", "audit.jsonl", ".bidsignore"}
    names = [
        f"/{file.relative_to(root / 'out').as_posix()}" for file in files(root / "out") if file.name not in ignored
    ]
    assert [name for name in names if not validator.BIDSValidator().is_bids(name)] == []
    described = json.loads((root / "out/dataset_description.json").read_text())
    assert (
        described["Name"] and described["BIDSVersion"] and described["License"] == "CC0" and "Authors" not in described
    )
    bold = json.loads((root / "out/task-rest_bold.json").read_text())
    assert bold["TaskName"] == "rest" and bold["RepetitionTime"] == 2.0


def test_sidecars_keep_physics_and_nothing_else(made):
    root, _ = made
    kept = json.loads(one(root / "out", "*_T1w.json").read_text())
    assert kept == {"RepetitionTime": 2.0, "EchoTime": 0.03, "FlipAngle": 90, "SliceTiming": [0.0, 1.0], "Manufacturer": "SIEMENS",
                    "ImageType": ["ORIGINAL", "PRIMARY", "M"], "PhaseEncodingDirection": "j-", "MagneticFieldStrength": 3,
                    "SeriesDescription": "t1 mprage", "TimeZero": "00:00:00"}  # fmt: skip
    phase = json.loads(one(root / "out", "*_phasediff.json").read_text())
    (target,) = phase["IntendedFor"]
    assert (root / "out" / label(f"sub-{MRN}") / target).is_file() and phase["EchoTime1"] == 0.004
    assert phase["B0FieldIdentifier"].startswith("x")


def test_participants_are_mapped_and_the_old_are_one_class(made):
    root, _ = made
    lines = (root / "out/participants.tsv").read_text().splitlines()
    assert lines[0] == "participant_id\tage\tsex\tgroup"
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in lines[1:]}
    assert rows.keys() == {label(f"sub-{MRN}"), label("sub-02")}
    assert rows[label(f"sub-{MRN}")] == ["90+", "F", "control"] and rows[label("sub-02")][:2] == ["45", "M"]
    audit = [json.loads(line) for line in (root / "out/audit.jsonl").read_text().splitlines()]
    (line,) = [line for line in audit if line.get("output") == "participants.tsv"]
    assert (
        line["actions"]["column 4 dropped"] == 1
        and line["actions"]["column 6 dropped"] == 1
        and line["actions"]["capped"] == 1
    )


def test_dates_move_by_one_offset_before_1925(made):
    root, _ = made
    rows = [line.split("\t") for line in one(root / "out", "*_scans.tsv").read_text().splitlines()]
    assert rows[0] == ["filename", "acq_time"] and len(rows) == 3  # the image that was refused has no row
    folder = one(root / "out", "*_scans.tsv").parent
    assert all((folder / row[0]).is_file() for row in rows[1:])
    moments = [datetime.datetime.fromisoformat(row[1]) for row in rows[1:]]
    assert abs(moments[1] - moments[0]) == datetime.timedelta(hours=1) and max(moments).year < 1925
    expected = datetime.date.fromisoformat(SEEN) + datetime.timedelta(days=date_offset(KEY, f"sub-{MRN}") - 43_830)
    assert {moment.date() for moment in moments} == {expected}
    session = one(root / "out", "*_sessions.tsv").read_text().splitlines()
    assert session[0] == "session_id\tacq_time\tage" and session[1].split("\t")[2] == "90+"
    assert (one(root / "out", "*_sessions.tsv").parent / session[1].split("\t")[0]).is_dir()


def test_gradients_events_and_voxels_stay_what_they_are(made):
    root, _ = made
    assert np.loadtxt(one(root / "out", "*.bvec")).tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert one(root / "out", "*.bval").read_text() == "0 1000 1000\n"
    lines = [line.split("\t") for line in one(root / "out", "*_events.tsv").read_text().splitlines()]
    assert (
        lines[0] == ["onset", "duration", "trial_type"]
        and lines[1][:2] == ["1.25", "2"]
        and lines[2] == ["4", "n/a", "rest"]
    )
    bold = nib.load(one(root / "out", "*_bold.nii.gz"))
    assert np.array_equal(np.asarray(bold.dataobj).ravel(), np.arange(375)) and not bold.header.extensions


def test_the_basic_profile_keeps_no_characteristics_and_no_dates(tmp_path):
    build(tmp_path / "raw")
    deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert (tmp_path / "out/participants.tsv").read_text().splitlines()[0] == "participant_id"
    assert one(tmp_path / "out", "*_scans.tsv").read_text().splitlines()[0] == "filename"
    assert "SeriesDescription" not in json.loads(one(tmp_path / "out", "*_T1w.json").read_text())


def test_a_rerun_writes_the_same_bytes_and_another_key_other_names(made, tmp_path):
    root, _ = made
    deidentify_folder(root / "raw", tmp_path / "again", key=KEY, profile="research", workers=2)
    names = [file.relative_to(root / "out") for file in files(root / "out")]
    assert names == [file.relative_to(tmp_path / "again") for file in files(tmp_path / "again")]
    assert all((root / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)
    deidentify_folder(root / "raw", tmp_path / "other", key=bytes(32), profile="research")
    own = {file.name for file in (root / "out").rglob("*.nii*")}
    assert not own & {file.name for file in (tmp_path / "other").rglob("*.nii*")}


def test_verify_sees_what_a_careless_copy_would_leave(made):
    root, _ = made
    for name, content in (
        ("leak.json", {"InstitutionName": "QZXHOSPITAL"}), ("leak.tsv", "a\nQZXFAMILY\n"), ("day.tsv", f"a\n{SEEN}T10:00:00\n"),
        (f"sub-{MRN}.tsv", "a\n"), ("born.json", {"x": BORN}), ("readme.txt", f"QZXFREE text by QZXAUTHOR about {MRN}"),
    ):  # fmt: skip
        text(root / "out" / name, content)
        found = verify(root / "raw", root / "out", KEY)
        (root / "out" / name).unlink()
        assert [finding.file for finding in found][:1] == [name], name


def test_a_plain_tree_keeps_folders_pairs_and_channels(tmp_path):
    for name in ("imagesTr/QZX_001_0000", "labelsTr/QZX_001", "imagesTr/QZX_002_0000", "QZXFAMILY/T1"):
        image(tmp_path / "raw" / f"{name}.nii.gz")
    text(tmp_path / "raw/QZXFAMILY/T1.json", {"EchoTime": 0.02, "PatientName": "QZXFAMILY"})
    text(tmp_path / "raw/QZXFAMILY/other.json", {"EchoTime": 0.02})
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"written": 5, "quarantined": 1} and verify(tmp_path / "raw", tmp_path / "out", KEY) == []
    made = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.nii.gz")}
    (mapped,) = [name for name in made if name.startswith("labelsTr/")]
    stem = PurePosixPath(mapped).name.removesuffix(".nii.gz")
    assert f"imagesTr/{stem}_0000.nii.gz" in made and len(made) == 4
    sidecar = one(tmp_path / "out", "*.json")
    assert json.loads(sidecar.read_text()) == {"EchoTime": 0.02} and sidecar.with_suffix(".nii.gz").is_file()


def test_a_family_name_that_is_an_imaging_word_does_not_stay(tmp_path):
    for family in ("Bravo", "Long", "Sharp"):
        image(tmp_path / "raw" / family / "T1.nii.gz")
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    folders = {file.relative_to(tmp_path / "out").parts[0] for file in (tmp_path / "out").rglob("*.nii.gz")}
    assert done.files == {"written": 3} and done.patients == 3 and len(folders) == 3
    assert not folders & {"Bravo", "Long", "Sharp"}


def test_blanks_around_a_name_make_no_second_patient(tmp_path):
    image(tmp_path / "raw/A.nii.gz")
    image(tmp_path / "raw/A .nii.gz", (5, 5, 5))
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"written": 1, "quarantined": 1} and done.reasons == {"same-name": 1} and done.patients == 1


def test_two_patients_never_share_a_pseudonym(tmp_path, monkeypatch):
    image(tmp_path / "raw/A.nii.gz")
    image(tmp_path / "raw/B.nii.gz")
    monkeypatch.setattr("scanprior.privacy.crosswalk.patient_pseudonym", lambda key, identity: "P-0123456789")
    with pytest.raises(ScanpriorError, match="two patients would get one pseudonym"):
        deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)


def test_two_files_that_would_get_one_name_are_not_written_over_each_other(tmp_path):
    image(tmp_path / "raw/A.nii.gz")
    image(tmp_path / "raw/A.NII.GZ", (5, 5, 5))
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"written": 1, "quarantined": 1} and done.reasons == {"same-name": 1}


@pytest.mark.parametrize("description", [{"License": ["CC0"]}, {"License": {"a": 1}}, {"License": 7}, []])
def test_a_strange_description_spoils_nothing(tmp_path, description):
    image(tmp_path / "raw/sub-1/anat/sub-1_T1w.nii.gz")
    text(tmp_path / "raw/dataset_description.json", json.dumps(description))
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"written": 2}
    assert "License" not in json.loads((tmp_path / "out/dataset_description.json").read_text())


def test_a_description_of_nothing_is_not_said_to_be_written(tmp_path):
    text(tmp_path / "raw/sub-1/anat/sub-1_T1w.nii.gz", "no image")
    text(tmp_path / "raw/dataset_description.json", {"Name": "x"})
    text(tmp_path / "raw/participants.json", {})
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"quarantined": 3} and done.reasons == {"unreadable": 1, "no-image": 2}


def test_a_number_too_large_for_a_float_spoils_no_sidecar(tmp_path):
    image(tmp_path / "raw/sub-1/anat/sub-1_T1w.nii.gz")
    text(tmp_path / "raw/sub-1/anat/sub-1_T1w.json", '{"EchoTime": 0.02, "RepetitionTime": 1' + "0" * 400 + "}")
    deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert json.loads(one(tmp_path / "out", "*_T1w.json").read_text()) == {"EchoTime": 0.02}


@pytest.mark.parametrize("label", ["T1w", "mprage", "t1mprage", "3T", "01", "rest", "AP", "2mm", "highres", "m06"])
def test_imaging_words_stay_in_names(label):
    assert is_plain(label)


@pytest.mark.parametrize(
    "label", ["Smith", "JS", "20190312", "1203", "DrSmith", "restSmith", "J1", "mm1970", "Doe01", "1a2b3c", "010203"]
)
def test_names_dates_and_initials_do_not(label):
    assert not is_plain(label)
    made = rebuilt(parse(f"sub-1_acq-{label}_T1w.nii.gz"), NAMES)
    assert label.lower() not in str(made).lower() and str(made).startswith("sub-P0123456789_acq-x")


@pytest.mark.parametrize(
    "path",
    ["sub-1/anat/sub-2_T1w.nii.gz", "sub-1/ses-1/anat/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_ses-1_T1w.nii.gz",
     "sub-1/anat/sub-1_foo-1_T1w.nii.gz",
     "sub-1/anat/deep/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_run-1234_T1w.nii.gz", "sub-1/anat/sub-1_run-1_run-2_T1w.nii.gz"],
)  # fmt: skip
def test_paths_that_say_two_things_have_no_place(path):
    assert target_of(PurePosixPath(path), NAMES) is None


@pytest.mark.parametrize(
    ("cell", "made"),
    [
        ("45", "45"),
        ("45.9", "45"),
        ("89", "89"),
        ("90", "90+"),
        ("89+", "90+"),
        ("Smith", "n/a"),
        ("19390412", "n/a"),
        ("131", "n/a"),
    ],
)
def test_ages(cell, made):
    assert bids_tables.age(cell) == made


@pytest.mark.parametrize(
    ("cell", "made"),
    [("2019-03-12T10:11:12", "1898-02-04T10:11:12"), ("1911-05-01T10:11", "1910-03-27T10:11:00"), ("2019-03-12", "1898-02-04T00:00:00"),
     ("12.03.2019", "n/a"), ("2019-13-01T00:00:00", "n/a"), ("2019-03-12T25:00:00", "n/a"), ("Smith", "n/a")],
)  # fmt: skip
def test_moments(cell, made):
    assert bids_tables.moment(cell, -400) == made


@pytest.mark.parametrize(
    "content", [b"", b"1 2\n3\n4\n", b"a b\nc d\ne f\n", b"1 2 3\n", b"9 0\n0 9\n0 0\n", b"nan 0\n0 1\n0 0\n", b"\xff"]
)
def test_gradient_vectors_of_another_shape_are_refused(content):
    with pytest.raises(Refused) as caught:
        bids_tables.gradients(content, vectors=True)
    assert caught.value.code == "unreadable"

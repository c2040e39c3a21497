"""Joining scans, labels, patients and maps: every problem at once, no identity in any sentence."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest

from scanprior.scans.cohort import Rules, join
from scanprior.scans.discover import Found, Source, discover
from scanprior.scans.labels import Columns
from scanprior.scans.refused import Refused
from scanprior.scans.table import read_table
from scanprior.scans.walk import Rejected

COLUMNS = Columns(patient="id", label="dx")


def source(number, patient, *, digest=None, **facts) -> Source:
    plain = {"kind": "dicom", "key": f"k{number}", "names": (f"n{number}",), "files": (), "patient_id": patient,
             "patient_name": "", "birth_date": "", "study_uid": "", "description": "T1", "modality": "MR",
             "study_date": "", "scanner": "", "sex": "", "age": None, "shape": (4, 4, 4), "spacing": (1, 1, 1),
             "affine": tuple(np.eye(4).ravel()), "digest": digest or f"d{number:03}"}  # fmt: skip
    return Source(**{**plain, **facts})


def rules(**more) -> Rules:
    return Rules(
        identify=lambda s: s.patient_id, name=lambda one: f"P-{sum(map(ord, one)):04}", **{"columns": COLUMNS, **more}
    )


def table(tmp_path, text, what="the label table"):
    (tmp_path / "t.csv").write_text(text)
    return read_table(tmp_path / "t.csv", what=what)


def joined(sources, tmp_path, labels=None, *, rejected=(), patients=None, maps=None, voxels=True, **more):
    return join(
        Found(list(sources), list(rejected)),
        rules(**more),
        labels=table(tmp_path, labels) if labels else None,
        patients=table(tmp_path, patients, "the patient table") if patients else None,
        maps=maps,
        voxels=voxels,
    )


GOOD = "id,dx\nA1,ill\nA2,well\nA3,ill\nA4,well\n"
FOUR = [source(n, f"A{n}") for n in (1, 2, 3, 4)]


def sentences(cohort):
    text = [problem.sentence for problem in cohort.problems]
    for sentence in text:
        assert "A1" not in sentence
        assert "A2" not in sentence
        assert "k1" not in sentence
    return text


def test_a_good_cohort(tmp_path):
    cohort = joined([*FOUR, source(5, "A5"), source(6, "A1")], tmp_path, GOOD)
    assert not sentences(cohort)
    by_id = {person.identity: person for person in cohort.patients}
    assert len(by_id) == 5
    assert (by_id["A1"].label, by_id["A1"].labelled, by_id["A1"].scans) == ("ill", True, 2)
    assert (by_id["A5"].label, by_id["A5"].labelled) == (None, False)
    assert [person.order for person in cohort.patients] == list(range(5))
    assert [scan.order for scan in cohort.scans] == list(range(6))
    assert [scan.source.digest for scan in cohort.scans] == sorted(scan.source.digest for scan in cohort.scans)


def test_order_depends_on_voxels_alone(tmp_path):
    renamed = [dataclasses.replace(s, patient_id="Z" + s.patient_id[::-1], key="z" + s.key[::-1]) for s in FOUR]
    one = joined(FOUR, tmp_path).patients
    two = joined(renamed[::-1], tmp_path).patients
    digests = {s.patient_id: s.digest for s in [*FOUR, *renamed]}
    assert [digests[p.identity] for p in one] == [digests[p.identity] for p in two]


def test_an_empty_cohort_says_what_was_there(tmp_path):
    refused = source(1, "A1", digest=None, problem=Refused("missing-slice", "one is missing"))
    cohort = joined([refused], tmp_path, rejected=[Rejected(tmp_path / "x", "pdf", "a PDF")])
    assert len(sentences(cohort)) == 1
    assert "no usable scan" in sentences(cohort)[0]
    assert "1 missing-slice, 1 pdf" in sentences(cohort)[0] or "1 pdf, 1 missing-slice" in sentences(cohort)[0]
    assert "empty" in sentences(joined([], tmp_path))[0]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("id,dx\nB1,ill\nB2,well\n", "none of 2 rows fits one of the 4 patients"),
        ("id,dx\nA1,ill\nA2,ill\n", "all 2 labels are of one class"),
        ("id,dx\nA1,\nA2,\n", "no patient with a usable scan has a label"),
        (
            "id,dx\nA1,ill\nA1,well\nA2,well\nA3,ill\n",
            "1 patient with several rows that give different values of label",
        ),
        ("id,dx\nA1,ill\n,well\nA2,well\n", "1 row without a patient id"),
    ],
)
def test_label_problems(tmp_path, labels, words):
    assert any(words in sentence for sentence in sentences(joined(FOUR, tmp_path, labels)))


def test_lost_leading_zeros_are_recognised(tmp_path):
    numbered = [source(n, f"00{n}") for n in (1, 2)]
    assert "leading zeros" in sentences(joined(numbered, tmp_path, "id,dx\n1,ill\n2,well\n"))[0]


def test_ids_are_listed_apart_from_the_sentence(tmp_path):
    problem = joined(FOUR, tmp_path, "id,dx\nA1,ill\nA1,well\nA2,well\nA3,ill\n").problems[0]
    assert problem.items == ("A1",)


def test_a_measurement_is_no_class(tmp_path):
    many = [source(n, f"C{n:02}") for n in range(30)]
    rows = "id,dx\n" + "".join(f"C{n:02},{n * 1.1}\n" for n in range(30))
    assert any("30 different values among 30 patients" in s for s in sentences(joined(many, tmp_path, rows)))


def test_positive_must_be_a_class_and_names_of_a_wrong_column_stay_hidden(tmp_path):
    assert "(ill, well)" in sentences(joined(FOUR, tmp_path, GOOD, positive="sick"))[0]
    names = "id,dx\nA1,Doe\nA2,Roe\nA3,Poe\nA4,Moe\n"
    assert "Doe" not in sentences(joined(FOUR, tmp_path, names, positive="sick"))[0]


def test_all_problems_at_once(tmp_path):
    people = [source(1, "A1", birth_date="19700101"), source(2, "A1", birth_date="19800101"), source(3, "A3"),
              source(4, "A4", digest="d003")]  # fmt: skip
    found = sentences(joined(people, tmp_path, "id,dx\nA1,ill\nA3,ill\n,x\n", together=(("A3", "Q9"),)))
    assert len(found) == 5
    for words in (
        "two persons under one patient id",
        "one and the same image",
        "without a patient id",
        "one class",
        "cohort.together",
    ):
        assert any(words in sentence for sentence in found)


def test_sex_too_tells_two_persons_apart(tmp_path):
    people = [source(1, "A1", sex="M"), source(2, "A1", sex="F"), source(3, "A3", sex="O"), source(4, "A3", sex="M")]
    cohort = joined(people, tmp_path)
    assert [problem.items for problem in cohort.problems] == [("A1",)]


def test_one_image_under_two_patients_is_proof_and_names_pseudonyms(tmp_path):
    cohort = joined([*FOUR, source(5, "A5", digest="d001")], tmp_path, GOOD)
    assert [problem.items for problem in cohort.problems] == [("A1", "A5")]
    assert sentences(cohort)[0].count("P-") == 2
    assert not joined([*FOUR, source(5, "A5", digest="d001")], tmp_path, GOOD, together=(("A1", "A5"),)).problems


def test_one_image_twice_under_one_patient_is_set_aside(tmp_path):
    cohort = joined([*FOUR, source(5, "A1", digest="d001")], tmp_path, GOOD)
    assert not cohort.problems
    assert [(item.reason, item.identity) for item in cohort.aside] == [("duplicate-scan", "A1")]
    assert len(cohort.scans) == 4


def test_one_name_and_birth_date_under_two_ids_is_a_warning(tmp_path):
    twin = {"patient_name": "Doe^Jane", "birth_date": "19700101"}
    cohort = joined([source(1, "A1", **twin), source(2, "A2", **twin), *FOUR[2:]], tmp_path, GOOD)
    assert not cohort.problems
    assert [warning.items for warning in cohort.warnings] == [("A1", "A2")]
    assert "Doe" not in cohort.warnings[0].sentence


def test_rows_without_scans_are_set_aside_not_lost(tmp_path):
    cohort = joined(FOUR, tmp_path, GOOD + "B7,ill\n")
    assert not cohort.problems
    assert [(item.reason, item.identity) for item in cohort.aside] == [("label-without-scan", "B7")]


def test_scans_with_a_problem_and_unselected_series_are_set_aside(tmp_path):
    broken = source(5, "A1", digest=None, problem=Refused("missing-slice", "one is missing"))
    other = source(6, "A2", description="T2 tse")
    cohort = joined([*FOUR, broken, other], tmp_path, GOOD, select={"series": "t1"})
    assert sorted((item.reason, item.identity) for item in cohort.aside) == [
        ("missing-slice", "A1"),
        ("not-selected", "A2"),
    ]
    assert len(cohort.scans) == 4


def test_bids_prefixes_do_not_matter(tmp_path):
    people = [source(n, f"sub-0{n}") for n in (1, 2, 3, 4)]
    cohort = joined(people, tmp_path, "id,dx\n01,ill\nsub-02,well\n03,ill\n04,well\n")
    assert all(person.labelled for person in cohort.patients)


def test_the_patient_table_says_whose_nifti_scan_is_whose(tmp_path):
    loose = [source(n, "", kind="nifti", key=f"sub/x{n}.nii.gz", names=(f"x{n}",)) for n in (1, 2, 3)]
    both = Columns(patient="id", label=None, scan="file")
    cohort = joined(loose, tmp_path, patients="file,id\nsub/x1.nii.gz,B1\nx2,B1\n", columns=both)
    assert {scan.identity for scan in cohort.scans} == {"B1"}
    assert [item.reason for item in cohort.aside] == ["no-patient"]
    found = sentences(joined(loose, tmp_path, patients="file,id\ny,B1\n", columns=both))
    assert any("no row fits" in sentence for sentence in found)
    torn = joined(loose, tmp_path, patients="file,id\nx1,B1\nx1,B2\n", columns=both).problems
    assert [problem.items for problem in torn] == [("x1",)]


def test_nifti_without_a_table_is_its_own_patient(tmp_path):
    loose = [source(n, "", kind="nifti", key=f"x{n}.nii", names=(f"x{n}",)) for n in (1, 2)]
    assert sorted(p.identity for p in joined(loose, tmp_path).patients) == ["x1", "x2"]


def test_ages_are_capped_days_count_from_the_first_scan_and_the_table_wins(tmp_path):
    scans = [source(1, "A1", age=97, study_date="20200110", sex="M"), source(2, "A1", age=96, study_date="20191231"),
             source(3, "A3", age=30, study_date="bad")]  # fmt: skip
    columns = dataclasses.replace(COLUMNS, age="age", sex="sex", site="site")
    cohort = joined(scans, tmp_path, "id,dx,age,sex,site\nA3,ill,31.9,w,north\nA1,well,,,\n", columns=columns)
    people = {person.identity: person for person in cohort.patients}
    assert (people["A1"].age, people["A1"].sex) == (90, "M")
    assert (people["A3"].age, people["A3"].sex, people["A3"].site) == (31, "F", "north")
    assert {scan.source.key: scan.days for scan in cohort.scans} == {"k1": 10, "k2": 0, "k3": None}


def test_splits_are_normalised_and_odd_ones_told(tmp_path):
    columns = dataclasses.replace(COLUMNS, split="split")
    cohort = joined(
        FOUR, tmp_path, "id,dx,split\nA1,ill,Training\nA2,well,TEST\nA3,ill,Pool\nA4,well,val\n", columns=columns
    )
    assert {p.identity: p.split for p in cohort.patients} == {"A1": "train", "A2": "test", "A3": "pool", "A4": "val"}
    odd = joined(FOUR, tmp_path, "id,dx,split\nA1,ill,holdout\nA2,well,test\n", columns=columns)
    assert any("split is none of train, val, test, pool" in s for s in sentences(odd))


def test_limit_takes_the_first_by_digest(tmp_path):
    everyone = joined(FOUR, tmp_path)
    few = joined(FOUR, tmp_path, limit=2)
    assert [p.identity for p in few.patients] == [p.identity for p in everyone.patients][:2]
    assert len(few.scans) == 2


class TestLabelMaps:
    """Pairing by stem, and what does not fit."""

    @pytest.fixture
    def folders(self, tmp_path):
        scans, maps = tmp_path / "scans", tmp_path / "maps"
        scans.mkdir()
        maps.mkdir()
        rng = np.random.default_rng(0)
        for n in range(5):
            self.write(scans / f"s{n}.nii.gz", rng.integers(0, 99, (6, 7, 8)))
            if n < 4:
                self.write(maps / f"s{n}.nii.gz", rng.integers(0, 3, (6, 7, 8)))
        return scans, maps

    @staticmethod
    def write(path, array, affine=None):
        image = nib.Nifti1Image(array.astype(np.int16), np.eye(4) if affine is None else affine)
        image.to_filename(path)

    def cohort(self, folders, **more):
        scans, maps = folders
        found = discover(scans)
        return join(
            found,
            rules(**{"classes": {1: "a", 2: "b"}, "columns": Columns(), **more}),
            labels=None,
            patients=None,
            maps=maps,
        )

    def test_pairs(self, folders):
        cohort = self.cohort(folders)
        assert not cohort.problems
        assert sum(person.labelled for person in cohort.patients) == 4
        assert {scan.source.names[0] for scan in cohort.scans if scan.label_map} == {"s0", "s1", "s2", "s3"}

    def test_maps_that_do_not_fit_take_their_scan_aside(self, folders):
        self.write(folders[1] / "s1.nii.gz", np.ones((6, 7, 9)))
        self.write(folders[1] / "s2.nii.gz", np.full((6, 7, 8), 9))
        self.write(folders[1] / "s9.nii.gz", np.ones((6, 7, 8)))
        (folders[1] / "s3.nii.gz").write_bytes(b"broken")
        reasons = sorted(item.reason for item in self.cohort(folders).aside)
        assert reasons == ["grid-mismatch", "map-values", "map-without-scan", "undecodable"]

    def test_a_map_on_a_flipped_grid_fits(self, folders):
        affine = np.diag([-1.0, 1, 1, 1])
        affine[0, 3] = 5
        self.write(folders[1] / "s1.nii.gz", np.ones((6, 7, 8)), affine)
        assert not self.cohort(folders).aside

    def test_classes_that_never_occur_and_no_map_at_all(self, folders):
        assert (
            "rim occurs in no label map"
            in self.cohort(folders, classes={1: "a", 2: "b", 3: "rim"}).problems[0].sentence
        )
        for file in folders[1].iterdir():
            file.rename(file.with_name("x" + file.name))
        assert "no label map has the name" in self.cohort(folders).problems[0].sentence

    def test_the_planted_bad_cases_of_the_decathlon(self, scanprior_data):
        bad = scanprior_data / "hippocampus" / "planted_bad"
        found = discover(bad / "images")
        cohort = join(found, rules(classes={1: "a", 2: "b"}), labels=None, patients=None, maps=bad / "labels")
        assert sorted(item.reason for item in cohort.aside) == ["map-without-scan", "map-without-scan"]
        assert [scan.label_map for scan in cohort.scans] == [None]


def test_without_voxels_the_limit_cuts_nobody(tmp_path):
    """Who comes first goes by the digest of the voxels: names would take all controls before the first patient."""
    assert len(joined(FOUR, tmp_path, limit=2, voxels=False).patients) == 4


def test_ids_that_lost_their_zeros_are_told_also_when_others_fit(tmp_path):
    """Excel drops leading zeros of some: their patients would silently count as unlabelled."""
    sources = [source(n, name) for n, name in enumerate(("A1", "A2", "007", "B4"), 1)]
    cohort = joined(sources, tmp_path, "id,dx\nA1,ill\nA2,well\n7,ill\nb4,well\nC9,ill\n")
    assert sentences(cohort) == [
        "cohort.labels: 2 rows would fit a patient without a row, but for leading zeros or capitals (export the ids as text)"
    ]
    assert joined(sources, tmp_path, "id,dx\nA1,ill\nA2,well\n007,ill\n7,well\n").problems == []

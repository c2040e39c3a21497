"""What tables can prove."""

from __future__ import annotations

import pandas as pd

from scanprior.evidence.leaks import identical, overlaps, prior_on_test, strangers

SPLIT = {
    "pool": ["p"],
    "draws": [
        {"draw": 0, "fold": 0, "order": ["a", "b"], "test": ["c"]},
        {"draw": 0, "fold": 1, "order": ["c", "b"], "test": ["a"]},
    ],
}


def test_a_clean_split_has_no_leak():
    assert overlaps(SPLIT) == [] and prior_on_test(["p"], SPLIT) == [] and strangers("dbn", 0) == []


def test_a_patient_on_both_sides_is_proof():
    draws = [{"draw": 0, "fold": 0, "order": ["a", "b"], "test": ["b", "p"]}]
    found = overlaps({"pool": ["p"], "draws": draws})
    assert {(leak.check, leak.patients) for leak in found} == {("train-test", ("b",)), ("pool-test", ("p",))}
    assert all(leak.proof for leak in found)


def test_an_inductive_prior_may_see_other_folds_patients():
    assert prior_on_test(["c", "b"], SPLIT, draw=0, fold=1) == []
    assert prior_on_test(["c", "b"], SPLIT)[0].patients == ("c",)


def test_identical_voxels_of_two_patients_are_proof_unless_they_are_known_to_be_one():
    scans = pd.DataFrame({"patient": ["a", "a", "b", "c"], "digest": ["1", "1", "2", "2"]})
    assert [leak.patients for leak in identical(scans)] == [("b", "c")]
    assert identical(scans, [{"b", "c", "x"}]) == []


def test_predictions_off_the_split_are_proof():
    assert strangers("cnn", 3)[0].proof and "cnn" in strangers("cnn", 3)[0].sentence

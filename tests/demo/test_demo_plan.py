"""The plan of the demo cohort gives nothing away: scanner, format and folder say nothing about the label."""

from __future__ import annotations

from collections import Counter
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def patients(recipe: ModuleType) -> list:
    return recipe.plan(60)


def test_36_are_labelled_and_half_of_every_group_has_a_lesion(patients: list) -> None:
    groups = Counter((p.labelled, p.lesion) for p in patients)
    assert groups == {(True, True): 18, (True, False): 18, (False, True): 12, (False, False): 12}


def test_48_come_as_dicom_and_12_as_nifti(patients: list) -> None:
    assert Counter(p.nifti for p in patients) == {False: 48, True: 12}


@pytest.mark.parametrize("trait", ["site", "nifti", "syntax", "localizer"])
def test_labelled_patients_with_and_without_lesion_share_every_trait_equally(patients: list, trait: str) -> None:
    counts = {
        lesion: Counter(str(getattr(p, trait)) for p in patients if p.labelled and p.lesion is lesion)
        for lesion in (True, False)
    }
    assert counts[True] == counts[False]


def test_both_scanners_saw_as_many_patients_with_a_lesion_as_without(patients: list) -> None:
    counts = Counter((p.site.code, p.lesion) for p in patients)
    assert set(counts.values()) == {15}


def test_all_five_transfer_syntaxes_and_four_layouts_occur(patients: list) -> None:
    dicom = [p for p in patients if not p.nifti]
    assert len({p.syntax for p in dicom}) == 5
    assert len({p.layout for p in dicom}) == 4


def test_the_order_of_patients_does_not_tell_the_label(patients: list) -> None:
    first, second = patients[:30], patients[30:]
    for half in (first, second):
        assert 9 <= sum(p.lesion for p in half) <= 21
        assert 9 <= sum(p.labelled for p in half) <= 27


def test_names_and_ids_are_unique_and_long_enough_never_to_occur_by_chance(patients: list) -> None:
    people = [p.person for p in patients]
    assert len({p.surname for p in people}) == len({p.patient_id for p in people}) == 60
    assert all(len(p.surname) >= 8 and len(p.given) >= 6 and len(p.patient_id) == 12 for p in people)


def test_names_need_at_least_eight_character_sets_and_one_patient_is_over_89(patients: list) -> None:
    assert len({str(p.person.character_set) for p in patients}) >= 8
    assert [p.person.age for p in patients if p.person.age > 89] == [93]


def test_another_size_stays_balanced(recipe: ModuleType) -> None:
    for count in (4, 8, 12, 31):
        known = [p for p in recipe.plan(count) if p.labelled]
        assert sum(p.lesion for p in known) * 2 == len(known)
        assert any(p.nifti for p in recipe.plan(count))

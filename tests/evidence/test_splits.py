"""Sides and draws: nobody on both sides, nested budgets, groups kept together; rows, labels and seed decide alone."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanprior.evidence.allocation import fold_rows, interleave, take_stratified
from scanprior.evidence.splits import Patients, Request, SplitError, digest, make_split, members


def seeds_of(seed: int):
    return lambda *names: int.from_bytes(hashlib.sha256(json.dumps([seed, *names]).encode()).digest()[:4], "big")


def test_each_site_is_tested_by_the_others():
    label, site = (0, 1) * 15, tuple("ABC"[row // 2 % 3] for row in range(30))
    rows = Patients(label, tuple(range(30)), (None,) * 30, site)
    split = make_split(rows, Request("sites", ("a", "b"), (4, 8), draws=2), seeds_of(1))
    assert [draw.fold for draw in split.draws] == [0, 1, 2, 0, 1, 2]
    for draw in split.draws:
        assert {site[row] for row in draw.test} == {"ABC"[draw.fold]} and len(draw.test) == 10
        assert not {site[row] for row in draw.order} & {site[row] for row in draw.test}
    assert split.draws[0].order != split.draws[3].order and split.draws[0].test == split.draws[3].test


@pytest.mark.parametrize(
    ("site", "group", "words"),
    [
        (("A",) * 30, range(30), "the labelled patients have 1"),
        (("A", "B") * 14 + (None, None), range(30), "2 have none"),
        (("A", "B") * 15, (0, 0, *range(2, 30)), "1 groups that may be one person lie at two sites"),
    ],
)
def test_sites_that_cannot_be_held_out_are_refused(site, group, words):
    rows = Patients((0, 0, 1, 1) * 7 + (0, 1), tuple(group), (None,) * 30, tuple(site))
    with pytest.raises(SplitError, match=words):
        make_split(rows, Request("sites", ("a", "b"), (4, 8), draws=2), seeds_of(1))


@st.composite
def cohorts(draw):
    """Two or three classes, an unlabelled archive, some pairs that may be one person."""
    classes = draw(st.integers(1, 3))
    sizes = [draw(st.integers(14, 24)) for _ in range(classes)]
    label = [kind for kind, size in enumerate(sizes) for _ in range(size)] + [-1] * draw(st.integers(0, 10))
    label = draw(st.permutations(label))
    group = list(range(len(label)))
    for row in draw(st.lists(st.integers(1, len(label) - 1), max_size=5, unique=True)):
        group[row] = group[row - 1]
    return Patients(tuple(label), tuple(group), (None,) * len(label)), tuple("abc"[:classes])


def check(patients: Patients, split, request: Request) -> None:
    side_of = {}
    for name, rows in (
        ("pool", split.pool),
        ("labelled", split.labelled),
        ("test", split.test),
        ("withheld", split.withheld),
    ):
        for row in rows:
            assert row not in side_of, "a patient lies on two sides"
            side_of[row] = name
    assert len(side_of) == len(patients.label), "a patient is lost"
    tested = {row for draw in split.draws for row in draw.test}
    pooled = {patients.group[row] for row in split.pool}
    assert not pooled & {patients.group[row] for row in tested}
    assert not pooled & {patients.group[row] for row in split.labelled}
    for draw in split.draws:
        assert not {patients.group[r] for r in draw.order} & {patients.group[r] for r in draw.test}
        assert len({patients.group[r] for r in draw.order}) == len(draw.order)
        assert all(patients.label[row] >= 0 for row in (*draw.order, *draw.test))
        block = len(request.classes)
        before: tuple[set, set] = (set(), set())
        for budget in request.budgets:
            train, valid = members(draw.order, budget, block)
            assert len(train) + len(valid) == budget and not set(train) & set(valid)
            assert before[0] <= set(train) and before[1] <= set(valid), "budgets are not nested"
            before = (set(train), set(valid))
            for side in (train, valid):
                assert {patients.label[row] for row in side} == set(range(block)), "a class is missing on a side"


@settings(max_examples=60, deadline=None)
@given(cohorts(), st.integers(0, 99), st.sampled_from(["holdout", "cv"]), st.integers(0, 8))
def test_no_patient_on_two_sides_and_budgets_nested(cohort, seed, scheme, pool):
    patients, classes = cohort
    budgets = (2 * len(classes), 2 * len(classes) + 1)
    request = Request(scheme, classes, budgets, draws=3, folds=3, test=4 * len(classes), pool=pool)
    try:
        split = make_split(patients, request, seeds_of(seed))
    except SplitError as refused:  # groups or the pool may leave a class too small; then there must be a reason
        assert refused.sentences
        return
    check(patients, split, request)
    assert digest(split, budgets) == digest(make_split(patients, request, seeds_of(seed)), budgets)
    if scheme == "cv":
        for number in range(3):
            tested = [row for draw in split.draws if draw.draw == number for row in draw.test]
            assert sorted(tested) == sorted(split.labelled), "each repeat tests everyone once"


def test_another_seed_gives_another_split():
    patients = Patients((0, 1) * 20, tuple(range(40)), (None,) * 40)
    request = Request("cv", ("a", "b"), (4, 8), draws=2)
    assert digest(make_split(patients, request, seeds_of(0)), (4, 8)) != digest(
        make_split(patients, request, seeds_of(1)), (4, 8)
    )


def test_draws_differ_and_the_holdout_is_fixed():
    patients = Patients((0,) * 60, tuple(range(60)), (None,) * 60)
    split = make_split(patients, Request("holdout", ("labelled",), (2, 4), draws=4, test=20, pool=10), seeds_of(3))
    assert len(split.pool) == 10 and len(split.test) == 20 and len(split.labelled) == 30
    assert len({draw.test for draw in split.draws}) == 1 and len({draw.order for draw in split.draws}) == 4


def test_the_pool_is_drawn_without_a_look_at_labels():
    group, given_ = tuple(range(40)), (None,) * 40
    request = Request("cv", ("a", "b"), (4,), draws=1, pool=10)
    one = make_split(Patients((0, 1) * 20, group, given_), request, seeds_of(0))
    other = make_split(Patients((0,) * 20 + (1,) * 20, group, given_), request, seeds_of(0))
    assert one.pool == other.pool


def test_unlabelled_patients_who_may_be_a_labelled_one_are_withheld():
    patients = Patients((0,) * 10 + (-1,) * 4, (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 11, 12, 13), (None,) * 14)
    split = make_split(patients, Request("cv", ("labelled",), (2,), draws=1), seeds_of(0))
    assert split.withheld == (10,) and split.pool == (11, 12, 13)


def test_given_split_is_kept_and_unlabelled_test_patients_are_seen_by_nobody():
    given_ = ("train", "val", "train", "train", "test", "test", "pool", "test", None)
    patients = Patients((0, 0, 0, 0, 0, 0, 0, -1, -1), tuple(range(9)), given_)
    split = make_split(patients, Request("given", ("labelled",), (2, 4), draws=2), seeds_of(0))
    assert (split.labelled, split.test, split.pool, split.withheld) == ((0, 1, 2, 3), (4, 5), (6, 8), (7,))


def test_given_split_with_one_person_on_both_sides_is_refused():
    patients = Patients((0,) * 6, (0, 1, 2, 0, 4, 5), ("train", "train", "train", "test", "test", "test"))
    with pytest.raises(SplitError, match="both sides"):
        make_split(patients, Request("given", ("labelled",), (2,), draws=1), seeds_of(0))


def test_folds_are_even_in_every_class():
    label = [0] * 18 + [1] * 18
    for side in fold_rows(range(36), list(range(36)), label, 3, seed=5):
        assert Counter(label[row] for row in side) == {0: 6, 1: 6}


def test_test_side_keeps_the_proportions():
    label = [0] * 60 + [1] * 30
    taken = take_stratified(range(90), list(range(90)), label, 30, seed=1)
    assert Counter(label[row] for row in taken) == {0: 20, 1: 10}


def test_the_order_goes_on_when_a_class_is_used_up():
    label = [0] * 6 + [1] * 2
    order = interleave(range(8), list(range(8)), label, seed=2)
    assert sorted(order) == list(range(8))
    assert all({label[a], label[b]} == {0, 1} for a, b in (order[:2], order[2:4]))


def test_members_by_hand():
    assert members(list("abcdefgh"), 8, 1) == (list("acdegh"), list("bf"))
    assert members(list("abcdefgh"), 3, 1) == (["a", "c"], ["b"])
    assert members(list("abcdefgh"), 8, 2) == (list("abefgh"), list("cd"))


@pytest.mark.parametrize(
    ("request_", "labels", "fragments"),
    [
        (Request("holdout", ("x",), (2,), 1, test=8, pool=4), (0,) * 10, ["test 8 + pool 4 leaves nobody"]),
        (Request("cv", ("a", "b"), (2, 40), 1, folds=3), (0, 1) * 12, ["smallest is 2", "is 40, but"]),
        (
            Request("cv", ("a", "b"), (4,), 1, folds=5),
            (0,) * 20 + (1,) * 4,
            ["class b: 4 labelled patients are too few for 5"],
        ),
        (Request("given", ("a", "b"), (4,), 1), (0, 1) * 6, ["class a: 0 patients are tested", "class b: 0 patients"]),
        (
            Request("holdout", ("a", "b"), (4,), 1, test=9),
            (0, 1) * 5,
            ["class b: 1 labelled patients lend labels, at least 2"],
        ),
    ],
)
def test_each_impossible_request_is_one_sentence_and_all_come_at_once(request_, labels, fragments):
    patients = Patients(labels, tuple(range(len(labels))), (None,) * len(labels))
    with pytest.raises(SplitError) as caught:
        make_split(patients, request_, seeds_of(0))
    for fragment in fragments:
        assert sum(fragment in sentence for sentence in caught.value.sentences) == 1

"""The catalogue agrees with itself, and answers for every arm."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scanprior.learning.catalogue import ARMS, CATALOGUE, CONVOLUTIONAL, hidden_of, partner_of, prior_of


def test_every_arm_has_its_entry_and_every_partner_starts_without_a_prior() -> None:
    assert tuple(CATALOGUE) == ARMS
    for arm, entry in CATALOGUE.items():
        assert (entry.prior is None) == (entry.partner is None)
        if entry.partner is not None:
            assert CATALOGUE[entry.partner].prior is None
            assert (entry.prior in CONVOLUTIONAL) == (entry.partner == "cnn")
            assert hidden_of(entry.partner, "bernoulli") == hidden_of(arm, "bernoulli")


def test_a_suffix_names_the_hidden_kind_and_without_one_it_is_the_study_s() -> None:
    assert prior_of("dbn", "bernoulli") == prior_of("dbn_bernoulli", "rectified") == "bernoulli"
    assert prior_of("scratch", "rectified") is None
    assert hidden_of("scratch_rectified", "bernoulli") == "rectified"


@pytest.mark.parametrize(
    ("arm", "arms", "partner"),
    [
        ("dbn", ("dbn", "scratch", "scratch_rectified"), "scratch"),
        ("dbn", ("dbn", "scratch_rectified", "scratch_bernoulli"), "scratch_rectified"),
        ("dbn_bernoulli", ("scratch", "dbn_bernoulli"), "scratch_bernoulli"),  # not in the study: nothing to compare
        ("dbn_rectified", ("scratch", "dbn_rectified"), "scratch"),
        ("scratch", ("dbn", "scratch"), None),
    ],
)
def test_a_partner_is_the_same_network_under_whatever_name(arm, arms, partner) -> None:
    assert partner_of(arm, arms, "rectified") == partner


def test_reading_a_study_file_loads_no_library_of_numbers() -> None:
    code = "import sys, scanprior.learning.catalogue; assert not {'torch', 'numpy', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

"""The words that this program itself writes into a BIDS data set: no original value that happens to be one of them
accuses it."""

from __future__ import annotations

import json

from scanprior.privacy.bids_names import IMAGES, OFTEN
from scanprior.privacy.bids_sidecar import ALLOWED, CODES
from scanprior.privacy.bids_tables import DESCRIPTIONS
from scanprior.privacy.bids_tree import DESCRIPTION, LICENCES, README


def bids_words() -> frozenset[str]:
    """Keys, codes, column names, suffixes and sentences, each as it stands."""
    codes = frozenset().union(*CODES.values(), *IMAGES.values())
    texts = (README, json.dumps(DESCRIPTION), json.dumps(DESCRIPTIONS), "participant_id session_id filename acq_time onset duration "
             "trial_type response_time volume_type License TaskName TimeZero bids")  # fmt: skip
    return codes | ALLOWED | OFTEN | LICENCES | frozenset(texts)

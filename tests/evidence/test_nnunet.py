"""The splits as nnU-Net reads them."""

from scanprior.evidence.nnunet import splits_final


def test_one_entry_per_draw_and_fold():
    split = {"draws": [{"draw": 0, "fold": 0, "order": ["b", "a"], "test": ["c"]}]}
    assert splits_final(split) == [{"train": ["b", "a"], "val": ["c"]}]

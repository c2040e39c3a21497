"""Letters by frequency, thirds by rank."""

from scanprior.scans.coarse import lettered, thirds


def test_codes_go_by_frequency():
    assert lettered(["x", "y", None, "y"]) == ["B", "A", None, "A"]
    assert lettered(["x", "y"]) == ["A", "B"]
    assert lettered([str(n) for n in range(28)])[-3:] == ["Z", "AA", "AB"]


def test_thirds_go_by_rank_and_equal_values_go_together():
    assert thirds(["2003", None, "2001", "2002"]) == [3, None, 1, 2]
    assert thirds(["b", "b", "b", "a"]) == [3, 3, 3, 1]
    assert thirds([None, None]) == [None, None]
    assert sorted(thirds([f"{n:03}" for n in range(9)])) == [1, 1, 1, 2, 2, 2, 3, 3, 3]

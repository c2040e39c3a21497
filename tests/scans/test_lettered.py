"""Letters by frequency."""

from scanprior.scans.lettered import lettered


def test_codes_go_by_frequency():
    assert lettered(["x", "y", None, "y"]) == ["B", "A", None, "A"]
    assert lettered(["x", "y"]) == ["A", "B"]
    assert lettered([str(n) for n in range(28)])[-3:] == ["Z", "AA", "AB"]

"""Guessing columns: values first, names second."""

import pytest

from scanprior.scans.guess import id_column, label_columns, positive_class, scan_columns
from scanprior.scans.table import read_table

TEXT = """nr;Name_Code;diagnose;Zentrum;Age;Geschlecht;sex;score;fold
1;A1;ill;north;41;x;m;1.5;train
2;A2;well;north;39;x;f;2.5;test
3;A3;ill;south;88;x;w;3.5;train
4;A4;well;south;20;x;m;4.5;val
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "t.csv").write_text(TEXT)
    return read_table(tmp_path / "t.csv", what="t")


def test_columns_are_recognised(table):
    assert id_column(table, ["A1", "A2", "sub-A3"]) == "Name_Code"
    assert id_column(table, ["B1"]) is None
    guess = label_columns(table, "Name_Code")
    columns = guess.columns
    assert (columns.label, columns.site, columns.age, columns.sex, columns.split) == (
        "diagnose",
        "Zentrum",
        "Age",
        "sex",
        "fold",
    )
    assert guess.classes == {"ill": 2, "well": 2}


def test_a_table_of_scans_is_recognised_by_path_or_stem(tmp_path):
    (tmp_path / "t.csv").write_text("when,file,subject\n1,x/a.nii.gz,P1\n2,b,P1\n")
    table = read_table(tmp_path / "t.csv", what="t")
    assert scan_columns(table, ["x/a.nii.gz", "y/b.nii"]) == ("file", "subject")
    assert scan_columns(table, ["q.nii", "r.nii", "s.nii"]) is None


@pytest.mark.parametrize(
    ("classes", "positive"),
    [(["control", "depr"], "depr"), (["0", "1"], "1"), (["normal", "abnormal"], "abnormal"), (["a", "b", "c"], None)],
)
def test_the_ill_class_is_positive(classes, positive):
    assert positive_class(classes) == positive

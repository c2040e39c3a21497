"""Tables as hospitals send them."""

import openpyxl
import pytest

from scanprior.errors import CohortError
from scanprior.scans.table import read_table

ROWS = [["id", "Größe", "dx"], ["007", "1,5", "ill"], ["8", "", "well"]]


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_usual_kind_of_csv_reads_alike(tmp_path, delimiter, encoding, newline):
    lines = [delimiter.join(f'"{c}"' if delimiter in c else c for c in row) for row in ROWS]
    (tmp_path / "t.csv").write_bytes(newline.join(lines).encode(encoding))
    table = read_table(tmp_path / "t.csv", what="the table")
    assert table.columns == ("id", "Größe", "dx")
    assert table.rows[0] == {"id": "007", "Größe": "1,5", "dx": "ill"}
    assert table.rows[1] == {"id": "8", "Größe": None, "dx": "well"}


def test_xlsx_cells_read_as_the_user_sees_them(tmp_path):
    from datetime import datetime

    book = openpyxl.Workbook()
    for row in [["id", "age", "day"], [7, 41.0, datetime(2024, 3, 1)], ["008", 41.5, None], [None, None, None]]:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    table = read_table(tmp_path / "t.xlsx", what="the table")
    assert table.rows == (
        {"id": "7", "age": "41", "day": "2024-03-01"},
        {"id": "008", "age": "41.5", "day": None},
    )


def test_missing_marks_and_short_and_empty_lines(tmp_path):
    (tmp_path / "t.csv").write_text("id,a,b\n\n1,n/a,NaN\n2\n,,\n3, x ,none\n")
    table = read_table(tmp_path / "t.csv", what="the table")
    assert [tuple(row.values()) for row in table.rows] == [("1", None, None), ("2", None, None), ("3", "x", "none")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no rows"),
        (b"id,label\n", "no rows"),
        (b"id,id\n1,2\n", "two columns of one name"),
        (b"\x89PNG\0\0\0\0", "can't be read"),
    ],
)
def test_what_is_no_table_is_said_so(tmp_path, content, words):
    (tmp_path / "secret_name.csv").write_bytes(content)
    with pytest.raises(CohortError, match=words) as caught:
        read_table(tmp_path / "secret_name.csv", what="the label table")
    assert "secret_name" not in str(caught.value)


def test_a_missing_table_and_a_broken_xlsx(tmp_path):
    with pytest.raises(CohortError, match="not there"):
        read_table(tmp_path / "none.csv", what="the label table")
    (tmp_path / "t.xlsx").write_bytes(b"no zip")
    with pytest.raises(CohortError, match="can't be read"):
        read_table(tmp_path / "t.xlsx", what="the label table")


def test_the_nearest_column_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("Patient_ID,Diagnosis\n1,x\n")
    table = read_table(tmp_path / "t.csv", what="the label table")
    assert table.require("Diagnosis", key="k") is None
    sentence = table.require("diagnose", key="cohort.columns.label")
    assert sentence is not None
    assert sentence.startswith(
        "cohort.columns.label: the label table has no column 'diagnose' among its 2; did you mean 'Diagnosis'?"
    )


def test_a_first_name_like_the_column_is_no_guess(tmp_path):
    """Without a header line the nearest "column" to patient may be a patient called Patience."""
    (tmp_path / "t.csv").write_text("MRN004711,Patience,ill\nMRN004712,Anna,well\n")
    sentence = read_table(tmp_path / "t.csv", what="the label table").require("patient", key="cohort.columns.patient")
    assert sentence is not None and "Patience" not in sentence and "first line" in sentence

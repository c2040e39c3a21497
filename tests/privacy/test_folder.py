"""A folder as a whole: interrupted runs go on, one bad file stops nothing, the audit accounts for every file."""

from __future__ import annotations

import json
import os
import re

import pytest
from test_deidentify import patient, put

from scanprior.errors import ScanpriorError
from scanprior.privacy import book, folder, series
from scanprior.privacy.pseudonyms import file_pseudonym
from scanprior.stages.deidentify import deidentify_folder
from scanprior.stages.verify import verify

KEY = bytes(range(32))


def output(place):
    return {
        file.relative_to(place).as_posix(): file.read_bytes() for file in sorted(place.rglob("*")) if file.is_file()
    }


@pytest.fixture
def raw(tmp_path):
    for number in range(5):
        put(tmp_path / "raw", f"P{number}/a.dcm", patient(number))
    put(tmp_path / "raw", "notes.txt", b"QZX")
    return tmp_path / "raw"


def killed_after(count, monkeypatch):
    """Make the run end after `count` jobs, as a kill does; returns the jobs that were really done."""
    real, begun = folder.work, []

    def once(job, *rest):
        if len(begun) == count:
            raise KeyboardInterrupt
        begun.append(job.files)
        return real(job, *rest)

    monkeypatch.setattr(folder, "work", once)
    return begun


def test_an_interrupted_run_goes_on_where_it_was(raw, tmp_path, monkeypatch):
    deidentify_folder(raw, tmp_path / "whole", key=KEY, faces="keep")
    with monkeypatch.context() as patched:
        killed_after(3, patched)
        with pytest.raises(KeyboardInterrupt):
            deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    progress = (tmp_path / "out" / book.PROGRESS).read_bytes()
    assert not (tmp_path / "out/audit.jsonl").exists() and b"MRN" not in progress and b"P0/a" not in progress
    # The kill may have fallen into the writing of a record.
    (tmp_path / "out" / book.PROGRESS).write_bytes(progress + b'{"job": "half", "count": 2}\n{"file"')
    with monkeypatch.context() as patched:
        begun = killed_after(99, patched)
        done = deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    assert len(begun) == 2 and done.files == {"written": 5, "quarantined": 1} and done.faces == {"kept": 5}
    assert output(tmp_path / "out") == output(tmp_path / "whole")


@pytest.mark.parametrize("change", ["input", "output", "settings"])
def test_what_changed_meanwhile_is_done_again(raw, tmp_path, monkeypatch, change):
    with monkeypatch.context() as patched:
        killed_after(4, patched)
        with pytest.raises(KeyboardInterrupt):
            deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    if change == "input":
        for file in raw.rglob("a.dcm"):
            os.utime(file, (1, 1))
    elif change == "output":
        for file in (tmp_path / "out").rglob("*.dcm"):
            file.unlink()
    profile = "research" if change == "settings" else "basic"
    begun = killed_after(99, monkeypatch)
    deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep", profile=profile)
    assert len(begun) == 5


def test_two_interruptions_with_other_settings_between_leave_a_book_that_can_be_read(raw, tmp_path, monkeypatch):
    for profile in ("basic", "research", "research"):
        with monkeypatch.context() as patched:
            killed_after(2, patched)
            with pytest.raises(KeyboardInterrupt):
                deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep", profile=profile)
    begun = killed_after(99, monkeypatch)
    done = deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep", profile="research")
    assert len(begun) == 1 and done.files == {"written": 5, "quarantined": 1}


def test_a_spoilt_record_ends_what_is_remembered(raw, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        killed_after(2, patched)
        with pytest.raises(KeyboardInterrupt):
            deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    with (tmp_path / "out" / book.PROGRESS).open("ab") as stream:
        stream.write(b"\0" * 65 + b'{"job": 1}\n')
    begun = killed_after(99, monkeypatch)
    assert deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep").files == {"written": 5, "quarantined": 1}
    assert len(begun) == 3


def test_what_only_an_earlier_run_wrote_is_removed_and_nothing_else(raw, tmp_path):
    deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    (tmp_path / "out/mine.txt").write_text("of the user")
    before = set(output(tmp_path / "out"))
    (raw / "P3/a.dcm").unlink()  # a patient who has withdrawn
    deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    gone = before - set(output(tmp_path / "out"))
    assert len(gone) == 1 and "mine.txt" not in gone
    assert not any(place.is_dir() and not any(place.iterdir()) for place in (tmp_path / "out").rglob("*"))


def test_what_a_stricter_run_refuses_does_not_stay_from_the_run_before(tmp_path):
    for number in range(12):
        put(tmp_path / "raw", f"{number}.dcm", patient(1, PixelSpacing=[2, 2], SliceThickness=2, InstanceNumber=number))
    assert deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY, faces="keep").files == {"written": 12}
    assert deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY).files == {"quarantined": 12}
    assert list((tmp_path / "out").rglob("*.dcm")) == []


def test_the_output_of_another_source_is_left_alone(raw, tmp_path, monkeypatch):
    put(tmp_path / "other", "a.dcm", patient(9))
    deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    before = output(tmp_path / "out")
    with pytest.raises(ScanpriorError, match="another SRC") as caught:
        deidentify_folder(tmp_path / "other", tmp_path / "out", key=KEY, faces="keep")
    assert output(tmp_path / "out") == before and str(tmp_path) not in str(caught.value)
    killed_after(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        deidentify_folder(raw, tmp_path / "begun", key=KEY, faces="keep")
    for source, key, said in ((tmp_path / "other", KEY, "another SRC"), (raw, bytes(32), "another key")):
        with pytest.raises(ScanpriorError, match=said):
            deidentify_folder(source, tmp_path / "begun", key=key, faces="keep")


def test_what_a_kill_left_half_written_is_cleared_away(raw, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        killed_after(2, patched)
        with pytest.raises(KeyboardInterrupt):
            deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    (tmp_path / "out/P-1/.image.dcm.4711.part").parent.mkdir()
    (tmp_path / "out/P-1/.image.dcm.4711.part").write_bytes(b"half")
    deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    assert list((tmp_path / "out").rglob("*.part")) == []


def test_links_in_a_circle_and_closed_folders_are_told(raw, tmp_path):
    (raw / "DOE").mkdir()
    (raw / "DOE/x.dcm").symlink_to(raw / "DOE/x.dcm")
    done = deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    assert done.files == {"written": 5, "quarantined": 2} and done.reasons == {"not-an-image": 1, "unreadable": 1}


@pytest.mark.parametrize("step", ["remove_face", "_write"])
def test_a_fault_behind_the_cleaning_stops_no_other_series(raw, tmp_path, monkeypatch, step):
    real = getattr(series, step)

    def faulty(first, *rest):
        one = first[0] if isinstance(first, list) else first.instance
        if one.original.PatientID.endswith("3"):
            raise ZeroDivisionError(one.original.PatientName)
        return real(first, *rest)

    monkeypatch.setattr(series, step, faulty)
    done = deidentify_folder(raw, tmp_path / "out", key=KEY)
    assert done.files == {"written": 4, "quarantined": 2} and done.reasons == {"unexpected": 1, "not-an-image": 1}
    assert b"PERSON" not in b"".join(output(tmp_path / "out").values())


def test_a_full_disk_is_no_fault_of_a_file(raw, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "no space")

    monkeypatch.setattr(series, "write", full)
    with pytest.raises(OSError, match="no space"):
        deidentify_folder(raw, tmp_path / "out", key=KEY)


def test_every_file_has_one_line_in_an_order_that_says_nothing(raw, tmp_path):
    (raw / "away").symlink_to(tmp_path)
    (raw / "dangling.dcm").symlink_to(tmp_path / "nothing")
    deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    lines = [json.loads(line) for line in (tmp_path / "out/audit.jsonl").read_text().splitlines()]
    names = [f"P{n}/a.dcm" for n in range(5)] + ["notes.txt", "away", "dangling.dcm"]
    assert [line["file"] for line in lines] == sorted(file_pseudonym(KEY, name) for name in names)
    assert {line["reason"] for line in lines if line["outcome"] == "quarantined"} == {"not-an-image", "link"}
    assert not (tmp_path / "out" / book.PROGRESS).exists()


def test_a_fault_in_one_file_stops_no_other_and_is_not_quoted(raw, tmp_path, monkeypatch):
    real = folder.dicom.clean_instance

    def faulty(dataset, **options):
        if dataset.PatientID.endswith("3"):
            raise ZeroDivisionError(dataset.PatientName)
        return real(dataset, **options)

    monkeypatch.setattr(folder.dicom, "clean_instance", faulty)
    done = deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    assert done.files == {"written": 4, "quarantined": 2} and done.reasons == {"unexpected": 1, "not-an-image": 1}
    assert b"PERSON" not in b"".join(output(tmp_path / "out").values())


def test_progress_counts_up_to_all_files(raw, tmp_path):
    seen = []
    deidentify_folder(
        raw,
        tmp_path / "out",
        key=KEY,
        faces="keep",
        workers=2,
        progress=lambda done, total, tally: seen.append((done, total)),
    )
    assert seen == [(number, 6) for number in range(2, 7)]


def test_another_key_on_the_same_output_is_an_error(raw, tmp_path):
    deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep")
    with pytest.raises(ScanpriorError, match="another key"):
        deidentify_folder(raw, tmp_path / "out", key=bytes(32), faces="keep")
    with pytest.raises(ScanpriorError, match="another key"):
        verify(raw, tmp_path / "out", bytes(32))


def test_the_page_says_settings_counts_and_what_remains(raw, tmp_path):
    deidentify_folder(raw, tmp_path / "out", key=KEY, faces="keep", options=("clean_descriptors",))
    page = (tmp_path / "out/audit.html").read_text()
    for said in ("2026c", "clean_descriptors", "scanprior 0", "config digest", "not anonymous", "28-38 %", "quarantined, not written",
                 "Clean Descriptors Option"):  # fmt: skip
        assert said in page, said
    assert re.search(r"<td>written</td><td class=\"n\">5</td>", page)

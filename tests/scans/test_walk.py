"""Walking a delivery: sorted by content, links kept inside, strays named, companions left in peace."""

import os
from pathlib import Path

import pytest

from scanprior.scans.walk import walk
from tests.scans.synthetic import save, slice_at


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    save(slice_at((0, 0, 0)), root / "a" / "IM0001")
    save(slice_at((0, 0, 0)), root / "a" / "scan.dcm")
    (root / "b").mkdir()
    (root / "b" / "image.nii.gz").write_bytes(b"anything")
    return root


def reasons(found, root):
    return {item.path.relative_to(root).as_posix(): item.reason for item in found.rejected}


def test_dicom_is_known_by_content_and_nifti_by_name(tree):
    found = walk(tree)
    assert [path.name for path in found.dicom] == ["IM0001", "scan.dcm"]
    assert [path.name for path in found.nifti] == ["image.nii.gz"]
    assert not found.rejected


def test_dicom_without_preamble_is_found(tree):
    content = (tree / "a" / "IM0001").read_bytes()
    (tree / "bare").write_bytes(content[132:])
    assert tree / "bare" in walk(tree).dicom


def test_strays_have_reasons(tree):
    (tree / "report.pdf").write_bytes(b"%PDF-1.7 ...")
    (tree / "archive.zip").write_bytes(b"PK\x03\x04....")
    (tree / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0....")
    (tree / "notes.txt").write_text("hello")
    (tree / "empty.dcm").write_bytes(b"")
    (tree / "._image.nii.gz").write_bytes(b"mac")
    (tree / ".DS_Store").write_bytes(b"mac")
    assert reasons(walk(tree), tree) == {
        "report.pdf": "pdf",
        "archive.zip": "archive",
        "photo.jpg": "picture",
        "notes.txt": "not-a-scan",
        "empty.dcm": "empty",
        "._image.nii.gz": "system-file",
        ".DS_Store": "system-file",
    }


def test_companions_are_no_news(tree):
    for name in ("labels.csv", "b/image.json", "participants.tsv", "README", "CHANGES", "dataset_description.json"):
        (tree / name).write_text("x")
    assert not walk(tree).rejected


def test_links_stay_inside_and_every_file_counts_once(tree, tmp_path):
    outside = save(slice_at((0, 0, 0)), tmp_path / "elsewhere" / "secret")
    (tree / "out").symlink_to(outside)
    (tree / "outfolder").symlink_to(tmp_path / "elsewhere")
    (tree / "loop").symlink_to(tree)
    (tree / "again").symlink_to(tree / "a" / "IM0001")
    (tree / "lost").symlink_to(tree / "nowhere")
    (tree / ".annex").mkdir()
    (tree / ".annex" / "key").write_bytes((tree / "a" / "IM0001").read_bytes())
    (tree / "annexed").symlink_to(tree / ".annex" / "key")
    found = walk(tree)
    assert [path.name for path in found.dicom] == ["IM0001", "scan.dcm", "annexed"]
    assert reasons(found, tree) == {"out": "link-outside", "lost": "broken-link"}


def test_a_root_that_is_a_link_is_walked(tree, tmp_path):
    (tmp_path / "link").symlink_to(tree)
    assert len(walk(tmp_path / "link").dicom) == 2


def test_skipped_files_and_folders_are_left_out(tree):
    found = walk(tree, skip=frozenset({(tree / "b").resolve(), (tree / "a" / "IM0001").resolve()}))
    assert [path.name for path in found.dicom] == ["scan.dcm"]
    assert not found.nifti


def test_bids_derivatives_are_left_out(tree):
    (tree / "dataset_description.json").write_text("{}")
    for folder in ("derivatives", "sourcedata", "code"):
        (tree / folder).mkdir()
        (tree / folder / "x.nii.gz").write_bytes(b"anything")
    assert [path.name for path in walk(tree).nifti] == ["image.nii.gz"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_are_named(tree):
    (tree / "a" / "IM0001").chmod(0)
    assert reasons(walk(tree), tree) == {"a/IM0001": "unreadable"}


def test_a_folder_that_cannot_be_opened_is_told_and_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "a.nii").write_bytes(b"x")
    real = os.scandir

    def guarded(place):
        if Path(place).name == "lost+found":
            raise PermissionError(13, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr("scanprior.scans.walk.os.scandir", guarded)
    found = walk(tmp_path)
    assert [file.name for file in found.nifti] == ["a.nii"]
    assert [(one.reason, one.path.name) for one in found.rejected] == [("unreadable", "lost+found")]


def test_links_in_a_circle_are_told(tmp_path):
    (tmp_path / "x").symlink_to(tmp_path / "x")
    assert [one.reason for one in walk(tmp_path).rejected] == ["broken-link"]

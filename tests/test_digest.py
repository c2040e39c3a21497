"""Code digests follow imports and ignore what changes no outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanprior import digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in which stage a reaches inner.py only through a relative import in an `__init__`."""
    root = tmp_path / "scanprior"
    (root / "room").mkdir(parents=True)
    (root / "stages").mkdir()
    (root / "__init__.py").write_text('"""top"""\n')
    (root / "stages" / "__init__.py").write_text("")
    (root / "stages" / "a.py").write_text("from scanprior import room\n")
    (root / "stages" / "b.py").write_text("import json\nfrom scanprior.other import thing\n")
    (root / "room" / "__init__.py").write_text("from .inner import value\n")
    (root / "room" / "inner.py").write_text("def value():\n    from ..other import thing\n    return thing\n")
    (root / "room" / "table.json").write_text("{}")
    (root / "other.py").write_text('"""doc"""\nthing = 1  # one\n')
    monkeypatch.setattr(digest, "SOURCE", tmp_path)
    monkeypatch.setattr(digest, "CACHE", tmp_path / "code.json")
    return root


def both() -> tuple[str, str]:
    for cached in (digest.code_digest, digest._read, digest._beside, digest._known):
        cached.cache_clear()
    return digest.code_digest("scanprior.stages.a"), digest.code_digest("scanprior.stages.b")


def test_imports_are_followed_through_packages_and_functions(package: Path) -> None:
    assert set(digest.sources("scanprior.stages.a")) == {
        "scanprior", "scanprior.stages", "scanprior.stages.a", "scanprior.room", "scanprior.room.inner", "scanprior.other"}  # fmt: skip
    assert "scanprior.room" not in digest.sources("scanprior.stages.b")


def test_an_edit_behind_a_relative_import_changes_exactly_what_imports_it(package: Path) -> None:
    a, b = both()
    (package / "room" / "inner.py").write_text("def value():\n    from ..other import thing\n    return thing + 1\n")
    assert both()[0] != a
    assert both()[1] == b


def test_comments_docstrings_and_layout_change_nothing(package: Path) -> None:
    before = both()
    (package / "other.py").write_text('"""another doc"""\n\n# new comment\nthing   =   1\n')
    assert both() == before


def test_a_data_file_counts_where_it_is_named(package: Path) -> None:
    before = both()
    (package / "room" / "table.json").write_text('{"new": 1}')
    assert both() == before
    (package / "room" / "inner.py").write_text('NAME = "table.json"\n')
    named = both()
    (package / "room" / "table.json").write_text('{"new": 2}')
    assert both()[0] != named[0]
    assert both()[1] == named[1]


def test_what_was_parsed_before_is_remembered_by_its_text_alone(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = both()
    with monkeypatch.context() as patch:
        patch.setattr(digest.ast, "parse", lambda *_: pytest.fail("parsed again"))
        assert both() == first
    (package / "other.py").write_text("thing = 2\n")
    assert both()[0] != first[0]
    (package / "other.py").write_text("thing = 1\n")
    for broken in ("{ not whole", "[]", "{}"):
        digest.CACHE.write_text(broken)
        assert both() == first


def test_a_module_that_names_a_room_does_not_depend_on_its_data_files(package: Path) -> None:
    (package / "other.py").write_text('thing = "room"\n')
    before = both()
    (package / "room" / "table.json").write_text('{"new": 3}')
    assert both() == before


def test_real_stages_that_need_no_torch_do_not_import_it() -> None:
    for stage in ("index", "split", "deidentify", "convert", "prepare", "patches", "evaluate", "report"):
        for name, file in digest.sources(f"scanprior.stages.{stage}").items():
            assert "import torch" not in file.read_text(), f"{stage} imports torch through {name}"


def test_what_python_keeps_beside_the_code_is_no_data(package: Path) -> None:
    (package / "other.py").write_text('thing = "__pycache__"\n')
    before = both()
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "code.json").write_text("{}")
    assert both() == before

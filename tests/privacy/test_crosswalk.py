"""Random pseudonyms: drawn once, read back ever after, private, and bound to their key."""

from __future__ import annotations

import stat
from multiprocessing import get_context

import pytest
from planted import saved
from pydicom import dcmread
from test_deidentify import patient, put

from scanprior.errors import ScanpriorError
from scanprior.privacy.crosswalk import Crosswalk, crosswalk_beside
from scanprior.privacy.pseudonyms import date_offset, new_key, patient_pseudonym
from scanprior.stages.deidentify import command
from scanprior.stages.verify import command as verify_command

KEY = bytes(range(32))
RUN = {"profile": "research", "options": (), "faces": "keep", "text": "keep", "pseudonyms": "random", "describe": False, "as_json": True,
       "strict": False}  # fmt: skip


def output(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def test_names_are_random_private_and_read_back(tmp_path):
    path = tmp_path / "key.crosswalk.csv"
    with Crosswalk(path, KEY) as first:
        drawn = {identity: first.names(identity) for identity in ("4711", 'name:Ü, "x"|1950', "4712")}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Crosswalk(path, KEY) as again:
        assert {identity: again.names(identity) for identity in drawn} == drawn
    assert len({one.patient for one in drawn.values()}) == 3 and all(
        -7305 <= one.offset <= -366 for one in drawn.values()
    )
    assert drawn["4711"].patient != patient_pseudonym(KEY, "4711")
    with Crosswalk(tmp_path / "other.csv", KEY) as other:
        assert other.names("4711").patient != drawn["4711"].patient


@pytest.mark.parametrize(("text", "mode", "said"), [
    (None, 0o640, "others may read"), ("identity,patient,days\n", 0o600, "none that scanprior wrote"), ("", 0o600, "none that"),
    ("# scanprior crosswalk 00000000: x\n", 0o600, "another key")])  # fmt: skip
def test_a_crosswalk_that_cannot_be_trusted_is_one_error(tmp_path, text, mode, said):
    path = tmp_path / "hospital.csv"
    with Crosswalk(path, KEY) as made:
        made.names("4711")
    if text is not None:
        path.write_text(text)
    path.chmod(mode)
    with pytest.raises(ScanpriorError, match=said) as caught, Crosswalk(path, KEY):
        pass
    assert caught.value.hint and "hospital" not in str(caught.value) and "4711" not in str(caught.value)


def test_an_edited_line_is_an_error_without_its_text(tmp_path):
    path = tmp_path / "c.csv"
    with Crosswalk(path, KEY) as made:
        made.names("4711")
    path.write_text(path.read_text() + "4712,P-x,soon\n")
    with pytest.raises(ScanpriorError, match="does not hold") as caught, Crosswalk(path, KEY):
        pass
    assert caught.value.__cause__ is None and "4712" not in str(caught.value)


def _draw(path):
    with Crosswalk(path, KEY) as names:
        for number in range(40):
            names.names(str(number))


def test_two_processes_at_once_agree(tmp_path):
    path = tmp_path / "c.csv"
    context = get_context("fork")
    both = [context.Process(target=_draw, args=(path,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    with Crosswalk(path, KEY) as names:
        assert len({names.names(str(number)).patient for number in range(40)}) == 40
    assert len(path.read_text().splitlines()) == 42


def test_the_command_keeps_its_crosswalk_beside_the_key_and_reruns_to_the_same_bytes(tmp_path, capsys):
    new_key(tmp_path / "key")
    for number in range(3):
        for name in "ab":
            put(tmp_path / "raw", f"{number}/{name}.dcm", patient(number, StudyDate="20240303"))
    for out, workers in (("one", 1), ("two", 2)):
        assert command(tmp_path / "raw", tmp_path / out, key=tmp_path / "key", workers=workers, **RUN) == 0
    assert output(tmp_path / "one") == output(tmp_path / "two")
    assert stat.S_IMODE(crosswalk_beside(tmp_path / "key").stat().st_mode) == 0o600
    keyed = {patient_pseudonym(bytes.fromhex((tmp_path / "key").read_text()), f"MRN{n:06d}") for n in range(3)}
    made = [dcmread(file) for file in (tmp_path / "one").rglob("*.dcm")]
    assert len({one.PatientID for one in made}) == 3 and not keyed & {one.PatientID for one in made}
    offset = date_offset(bytes.fromhex((tmp_path / "key").read_text()), "MRN000001")
    assert len({one.StudyDate for one in made}) == 3 and offset  # one offset a patient, none of them the keyed one
    assert verify_command(tmp_path / "raw", tmp_path / "one", key=tmp_path / "key") == 0
    assert b"MRN00000" not in b"".join(output(tmp_path / "one").values()) and saved(made[0])
    capsys.readouterr()

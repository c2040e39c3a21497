"""What is said of an error: our own sentences, and of anybody else's only its kind and where in our code it was raised."""

import errno
import sys

import pytest

from scanprior import cli
from scanprior.errors import ScanpriorError, explain


def raised(error):
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001  an interruption too
        return caught


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ScanpriorError("a sentence", hint="a way out"), "a way out"),
        (MemoryError(), "ran out of memory"),
        (RuntimeError("CUDA out of memory"), "ran out of memory"),
        (OSError(errno.ENOSPC, "no space", "/data/DOE_JOHN"), "the disk is full"),
        (OSError(errno.EACCES, "denied", "/data/DOE_JOHN"), "PermissionError"),
        (ValueError("could not convert DOE_JOHN"), "ValueError"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_no_library_is_quoted(error, said):
    told = explain(raised(error))
    assert said in told
    assert "DOE" not in told


def test_a_fault_of_the_program_prints_no_path_and_no_traceback(monkeypatch, capsys):
    def faulty(**_):
        raise RuntimeError("Symlink loop from '/data/DOE_JOHN/x'")

    monkeypatch.setattr(cli, "app", faulty)
    monkeypatch.delenv("SCANPRIOR_DEBUG", raising=False)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    captured = capsys.readouterr()
    assert caught.value.code == 1
    assert "RuntimeError" in captured.err and "SCANPRIOR_DEBUG=1" in captured.err
    assert "DOE" not in captured.err + captured.out
    monkeypatch.setenv("SCANPRIOR_DEBUG", "1")
    with pytest.raises(RuntimeError):
        cli.main()
    assert sys.exc_info() == (None, None, None)

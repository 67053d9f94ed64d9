"""A folder is complete or not there, whatever goes wrong, and nothing foreign is deleted."""

import stat
from pathlib import Path

import pytest

from clv_forecast.errors import StoreError
from clv_forecast.files import atomic_folder


def ours(folder):
    return (folder / "mark").exists()


def write(folder, text="first"):
    with atomic_folder(folder, replaces=ours) as aside:
        (aside / "mark").write_text(text)


def test_written_replaced_and_readable(tmp_path):
    target = tmp_path / "deep" / "out"
    write(target)
    write(target, "second")
    assert (target / "mark").read_text() == "second"
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_an_empty_folder_is_taken_and_a_foreign_one_is_not(tmp_path):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for name in ("foreign", "file"):
        with pytest.raises(StoreError, match="Choose another folder"):
            write(tmp_path / name)
    assert (tmp_path / "foreign" / "thesis.txt").exists() and (tmp_path / "file").read_text() == "a file"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("at_rename", [None, 1, 2])
def test_what_stood_there_stands_again(tmp_path, monkeypatch, error, at_rename):
    target = tmp_path / "out"
    write(target)
    real, calls = Path.rename, []

    def rename(self, to):
        calls.append(to)
        if len(calls) == at_rename:
            raise error
        return real(self, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises((StoreError, KeyboardInterrupt)), atomic_folder(target, replaces=ours) as aside:
        (aside / "mark").write_text("second")
        if at_rename is None:
            raise error
    assert (target / "mark").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]

"""The page as a folder: everything that it asks for is in it, and no more pictures than allowed."""

import pytest

from palpate.cli import main
from palpate.errors import InputError
from palpate.view.folder import SLICES, _thinned, write_folder
from palpate.view.opened import opened
from palpate.view.site import ASSETS
from tests.view.payload import data


class Written:
    """The files of a folder, read as a site."""

    def __init__(self, folder):
        self.folder = folder

    def find(self, name):
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None


def test_it_holds_every_file_that_it_names(masks, tmp_path):
    written = write_folder(opened(masks), tmp_path / "out", 600)
    site, run = Written(tmp_path / "out"), data(Written(tmp_path / "out"), "run")
    assert all(site.find(name) for name in ASSETS) and not written.left
    ready = run["tables"]["attacks"]["ready"]
    assert ready == written.records["attacks"] and ready
    for place in ready:
        told = data(site, f"record-{place}")
        names = [
            f"{told[kind]}{index}.png"
            for kind in ("before", "after", "change")
            if told[kind]
            for index in told["slices"]
        ]
        assert names and all(site.find(name) for name in names)
    assert {path.name for path in (tmp_path / "out" / "pictures").iterdir()} == {
        name.removeprefix("pictures/") for name in written.pictures
    }


def test_the_limit_is_kept_and_said(masks, tmp_path):
    written = write_folder(opened(masks), tmp_path / "few", 7)
    assert written.left and 0 < len(list((tmp_path / "few" / "pictures").iterdir())) <= 7
    assert "--limit" in data(Written(tmp_path / "few"), "run")["said"][0]
    assert len(data(Written(tmp_path / "few"), "run")["tables"]["attacks"]["columns"]) > 10


def test_maps_of_traces_take_a_part_of_the_limit_and_certificates_are_complete(certified, tmp_path):
    found = opened(certified)
    for limit in (8, 400):
        written = write_folder(found, tmp_path / str(limit), limit)
        site, folder = Written(tmp_path / str(limit)), tmp_path / str(limit) / "pictures"
        assert len(list(folder.iterdir())) == len(written.pictures) <= limit
        assert (limit > 8) or len(list(folder.glob("trace-*"))) <= 2
        for place in found.traced.nonzero()[0]:
            told = data(site, f"trace-{place}")
            assert all(site.find(one["picture"]) for one in told["maps"]) and bool(told["maps"]) == (not told["why"])
        for row in data(site, "run")["certified"]:
            assert data(site, f"certificate-{row}")
        for place in data(site, "run")["tables"]["certificates"]["ready"]:
            told = data(site, f"certified-{place}")
            assert all(site.find(f"{told['before']}{index}.png") for index in told["slices"])


def test_a_folder_that_holds_something_is_left_alone(masks, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        write_folder(opened(masks), tmp_path, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_of_a_long_volume_evenly_spaced_slices_are_kept():
    thin = _thinned({"slices": list(range(100)), "start": 50, "why": []})
    assert len(thin["slices"]) == SLICES and thin["slices"][0] == 0 and thin["slices"][-1] == 99
    assert thin["start"] in thin["slices"] and "24 of 100" in thin["why"][0]


def test_the_command_writes_it_and_names_the_page(masks, tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["view", str(masks), "--out", str(tmp_path / "out"), "--limit", "3"])
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "out" / "index.html") and "--limit" in err

"""Which files of a folder are new."""

import os

from pipelines.live_night import arrivals


def test_a_file_that_changes_comes_again(tmp_path):
    place, seen = tmp_path / "a.fits", set()
    place.write_bytes(b"one")
    assert arrivals(tmp_path, seen) == [place]
    assert arrivals(tmp_path, seen) == []
    os.utime(place, (1, 1))
    assert arrivals(tmp_path, seen) == [place]


def test_a_file_of_the_store_comes_once_though_the_store_touches_it(tmp_path):
    folder, seen = tmp_path / "incoming", set()
    folder.mkdir()
    (tmp_path / "stored").write_bytes(b"one")
    (folder / "hard.fits").hardlink_to(tmp_path / "stored")
    (folder / "soft.fits").symlink_to(tmp_path / "stored")
    assert len(arrivals(folder, seen)) == 2
    os.utime(tmp_path / "stored", (1, 1))
    assert arrivals(folder, seen) == []

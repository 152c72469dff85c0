"""The photos that a measurement reads."""

from pathlib import Path

import pytest

from misc.errors import InputError
from misc.eval.photos import all_photos, open_photo, photos_of, some_photos
from misc.eval.store import find_photos
from tests.support.images import sample_picture


def test_photos_of_a_folder_or_a_file(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.txt", "d.jpeg", "e.tif"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in photos_of(tmp_path)] == ["a.JPG", "b.png", "d.jpeg", "e.tif"]
    assert [path.name for path in photos_of(tmp_path, 1)] == ["a.JPG"]
    assert photos_of(tmp_path / "b.png") == [tmp_path / "b.png"]


@pytest.mark.parametrize("name", ["c.txt", "empty"])
def test_no_photo_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "c.txt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no photo"):
        photos_of(tmp_path / name)
    with pytest.raises(InputError, match=r"there is no .*nosuch"):
        photos_of(tmp_path / "nosuch")


def test_photos_of_folders_have_names_of_their_own(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        sample_picture(16, 12, seed=number).save(tmp_path / str(number) / "img.png")
    assert [photo.name for photo in some_photos(tmp_path, 2)] == ["0/img.png", "2/img.png"]
    assert open_photo(all_photos(tmp_path)[3]) == sample_picture(16, 12, seed=3)
    (tmp_path / "3" / "img.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"3/img\.png: the input is not an image"):
        open_photo(all_photos(tmp_path)[3])
    with pytest.raises(InputError, match="no photos"):
        all_photos(empty_folder(tmp_path))


def test_links_keep_their_names(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        sample_picture(16, 12, seed=number).save(tmp_path / str(number) / "img.png")
    links = empty_folder(tmp_path)
    for number, name in enumerate("ab"):
        (links / f"{name}.png").symlink_to(tmp_path / str(number) / "img.png")
    assert [photo.name for photo in find_photos(links)] == ["a.png", "b.png"]


def empty_folder(path: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"

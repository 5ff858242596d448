"""Many keys, directories, and what is no directory."""

from __future__ import annotations

from collections.abc import Callable

from fsspec_guarded_s3 import GuardedS3FileSystem
from tests.real_stores.checking import check
from tests.real_stores.place import Place, folder

MANY = 2500


@check(f"{MANY:,} keys: written, found, and removed, by name and as a tree")
def many_keys(place: Place) -> None:
    spot = place.fresh()
    fs, names = spot.fs, [spot.path(f"d/{n % 7}/{n:05}") for n in range(MANY)]
    fs.pipe(dict.fromkeys(names, b"x"))
    found = fs.find(spot.path("d"))
    assert found == sorted(names), f"find shows {len(found)} keys of {MANY}"
    assert fs.ls(spot.path("d"), detail=False) == [spot.path(f"d/{n}") for n in range(7)], "ls is wrong"
    fs.rm(names[:1200])
    left = fs.find(spot.path("d"))
    assert left == sorted(names[1200:]), f"{len(left)} keys are there after 1,200 of {MANY} were removed"
    fs.rm(spot.path("d"), recursive=True)
    assert fs.find(spot.root) == [], "keys are left after rm -r"
    assert not fs.exists(spot.path("d")), "the directory is still there after rm -r"


@check("1,500 keys and directories side by side, beyond one page")
def mixed_pages(place: Place) -> None:
    spot = place.fresh()
    keys = [f"k{n:04}" for n in range(900)] + [f"k{n:04}x/y" for n in range(600)]
    spot.fs.pipe({spot.path(key): b"" for key in keys})
    assert spot.fs.find(spot.root) == sorted(spot.path(key) for key in keys), "find is wrong"
    rows = spot.fs.ls(spot.root, detail=False)
    assert len(rows) == len(set(rows)) == 1500, f"ls shows {len(rows)} rows"
    spot.fs.rm(spot.root, recursive=True)


@check("`iter_find` goes on after a name, and selects", quick=True)
def goes_on(place: Place) -> None:
    spot = place.fresh()
    names = [f"{letter}/{number}" for letter in "abc" for number in range(4)]
    spot.fs.pipe({spot.path(name): b"x" * int(name[-1]) for name in names})
    found = spot.fs.iter_find(spot.root, start_after=spot.path("b/1"))
    assert sorted(found) == [spot.path(name) for name in names if name > "b/1"], "other names after b/1"
    found = spot.fs.iter_find(spot.root, prefix="b/", min_size=2)
    assert sorted(found) == [spot.path("b/2"), spot.path("b/3")], "other names of 2 bytes and more"


@check("directory markers", quick=True)
def markers(place: Place) -> None:
    spot = place.fresh()
    fs = spot.fs
    spot.put("m/")
    spot.put("n/")
    spot.put("n/x", b"1")
    assert fs.isdir(spot.path("m")) and fs.isdir(spot.path("n")), "a marker is no directory"
    assert fs.find(spot.root) == [spot.path("n/x")], "find shows markers, or not the file"
    assert fs.ls(spot.root, detail=False) == [spot.path("m"), spot.path("n")], "ls shows other rows"
    fs.rm(spot.path("n"), recursive=True)
    fs.rmdir(spot.path("m"))
    assert not fs.exists(spot.path("m")) and not fs.exists(spot.path("n")), "a directory is left"


@check("a directory goes with its last file", quick=True)
def empty_directories(place: Place) -> str | None:
    spot = place.fresh()
    spot.fs.pipe_file(spot.path("keep"), b"")
    spot.fs.pipe_file(spot.path("d/e/f"), b"1")
    spot.fs.rm_file(spot.path("d/e/f"))
    assert spot.fs.find(spot.root) == [spot.path("keep")], "the file is still there"
    return "empty ones stay" if spot.fs.exists(spot.path("d")) else None


@check("an object, and others below its name", quick=True)
def file_and_directory(place: Place) -> str | None:
    def fill(names: tuple[str, str]) -> Callable[[], None]:
        def write() -> None:
            spot = place.fresh()
            for name in names:
                spot.fs.pipe_file(spot.path(name), name.encode())
            for name in names:
                assert spot.fs.cat_file(spot.path(name)) == name.encode(), "other bytes"
            assert spot.fs.find(spot.root) == sorted(map(spot.path, names)), "find is wrong"

        return write

    fill(("k", "k/below"))()
    fill(("k/below", "k"))()
    return None


@check("a folder goes up and comes down", quick=True)
def folders(place: Place) -> None:
    spot = place.fresh()
    fs: GuardedS3FileSystem = spot.fs
    with folder() as here:
        for name in ("a", "d/b", "d/e/c"):
            (here / "up" / name).parent.mkdir(parents=True, exist_ok=True)
            (here / "up" / name).write_text(name)
        fs.put(f"{here}/up/", spot.path("t/"), recursive=True)
        fs.get(spot.path("t/"), f"{here}/down/", recursive=True)
        found = {
            str(p.relative_to(here / "down")): p.read_text() for p in here.rglob("down/**/*") if p.is_file()
        }
    assert found == {name: name for name in ("a", "d/b", "d/e/c")}, f"{found}"

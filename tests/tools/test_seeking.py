"""Libraries that go back in what they write, in the modes that the table of tools.md names.

Those that the extra `test` does not have are skipped where nobody has installed them.
"""

from __future__ import annotations

import io
import wave
import zipfile
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.stores import Store

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, about georeferences and the like

IMAGE = np.arange(120 * 100 * 3, dtype="u1").reshape(120, 100, 3)
BANDS = IMAGE.transpose(2, 0, 1)


class Library(NamedTuple):
    """`needs` is imported. `create` writes to a file, `read` says what is in it, and so after `change`."""

    needs: str
    modes: tuple[str, ...]
    create: Callable[[Any, Any], object]
    read: Callable[[Any, Any], object]
    found: object
    change: Callable[[Any, Any], object] | None = None
    changed: object = None


def _zip(_: Any, file: Any) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one", "1" * 1000)


def _zip_names(_: Any, file: Any) -> list[str]:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def _zip_more(_: Any, file: Any) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("two", "2")


def _hdf5(h5py: Any, file: Any) -> None:
    with h5py.File(file, "w") as new:
        new["numbers"] = list(range(1000))


def _hdf5_sum(h5py: Any, file: Any) -> int:
    with h5py.File(file) as found:
        return int(found["numbers"][:].sum())


def _hdf5_more(h5py: Any, file: Any) -> None:
    with h5py.File(file, "a") as old:
        old["numbers"][0] = 500


def _netcdf4(h5netcdf: Any, file: Any) -> None:
    with h5netcdf.File(file, "w") as new:
        new.dimensions = {"x": 3}
        new.create_variable("v", ("x",), data=np.arange(3))


def _netcdf4_values(h5netcdf: Any, file: Any) -> list[int]:
    with h5netcdf.File(file) as found:
        return [int(value) for value in found.variables["v"][:]]


def _netcdf4_more(h5netcdf: Any, file: Any) -> None:
    with h5netcdf.File(file, "a") as old:
        old.variables["v"][1] = 7


def _in_memory(netcdf: Any, file: Any) -> None:
    data = netcdf.Dataset("name", "w", memory=1000)
    data.createDimension("x", 3)
    data.createVariable("v", "i4", ("x",))[:] = [0, 1, 2]
    file.write(data.close())


def _in_memory_values(netcdf: Any, file: Any) -> list[int]:
    return [int(value) for value in netcdf.Dataset("name", memory=file.read())["v"][:]]


def _netcdf3(scipy: Any, file: Any) -> None:
    with scipy.netcdf_file(file, "w") as new:
        new.createDimension("x", 3)
        new.createVariable("v", "i", ("x",))[:] = [0, 1, 2]
        new.flush()


def _netcdf3_values(scipy: Any, file: Any) -> list[int]:
    return [int(value) for value in scipy.netcdf_file(file, mmap=False).variables["v"][:]]


def _netcdf3_more(scipy: Any, file: Any) -> None:
    old = scipy.netcdf_file(file, "a", mmap=False)
    old.variables["v"][1] = 7
    old.flush()


def _tiff_pages(tifffile: Any, file: Any) -> int:
    with tifffile.TiffFile(file) as found:
        assert all(bool((page.asarray() == IMAGE).all()) for page in found.pages)
        return len(found.pages)


def _pillow_frames(pillow: Any, file: Any) -> int:
    found = pillow.open(file)
    assert bool((np.asarray(found) == IMAGE).all())
    return int(found.n_frames)


def _pillow_pages(pillow: Any, file: Any) -> None:
    image = pillow.fromarray(IMAGE)
    image.save(file, "TIFF", save_all=True, append_images=[image])


def _geotiff(rasterio: Any, file: Any) -> None:
    shape = {"height": 120, "width": 100, "count": 3, "dtype": "uint8"}
    with rasterio.open(file, "w", driver="GTiff", **shape) as new:
        new.write(BANDS)


def _geotiff_sum(rasterio: Any, file: Any) -> int:
    with rasterio.open(file) as found:
        return int(found.read().astype("i8").sum())


def _geotiff_more(rasterio: Any, file: Any) -> None:
    with rasterio.open(file, "r+") as old:
        old.write(np.zeros_like(BANDS))


def _sound(_: Any, file: Any) -> None:
    with wave.open(file, "wb") as new:
        new.setparams((1, 2, 8000, 0, "NONE", ""))
        for _piece in range(3):
            new.writeframes(bytes(1000))


def _sound_frames(_: Any, file: Any) -> int:
    with wave.open(file) as found:
        return found.getnframes()


_SUM = int(IMAGE.astype("i8").sum())
LIBRARIES = {
    "zipfile": Library("zipfile", ("wb", "w+b"), _zip, _zip_names, ["one"], _zip_more, ["one", "two"]),
    "h5py": Library("h5py", ("w+b",), _hdf5, _hdf5_sum, 499500, _hdf5_more, 500000),
    "h5netcdf": Library("h5netcdf", ("w+b",), _netcdf4, _netcdf4_values, [0, 1, 2], _netcdf4_more, [0, 7, 2]),
    "netCDF4": Library("netCDF4", ("wb", "w+b"), _in_memory, _in_memory_values, [0, 1, 2]),
    "SciPy: `netcdf_file`": Library(
        "scipy.io", ("w+b",), _netcdf3, _netcdf3_values, [0, 1, 2], _netcdf3_more, [0, 7, 2]
    ),
    "SciPy: `savemat`": Library(
        "scipy.io",
        ("wb", "w+b"),
        lambda scipy, file: scipy.savemat(file, {"a": IMAGE, "b": np.arange(3)}),
        lambda scipy, file: int(scipy.loadmat(file)["a"].astype("i8").sum()),
        _SUM,
    ),
    "wave": Library("wave", ("wb", "w+b"), _sound, _sound_frames, 1500),
    "tifffile": Library(
        "tifffile",
        ("wb", "w+b"),
        lambda tifffile, file: tifffile.imwrite(file, IMAGE),
        _tiff_pages,
        1,
        lambda tifffile, file: tifffile.imwrite(file, IMAGE, append=True),
        2,
    ),
    "Pillow: TIFF": Library(
        "PIL.Image",
        ("wb", "w+b"),
        lambda pillow, file: pillow.fromarray(IMAGE).save(file, "TIFF"),
        _pillow_frames,
        1,
    ),
    "Pillow: TIFF of several images": Library("PIL.Image", ("w+b",), _pillow_pages, _pillow_frames, 2),
    "Pillow: PDF": Library(
        "PIL.Image",
        ("w+b",),
        lambda pillow, file: pillow.fromarray(IMAGE).save(file, "PDF"),
        lambda pillow, file: file.read(4),
        b"%PDF",
    ),
    "soundfile": Library(
        "soundfile",
        ("wb", "w+b"),
        lambda soundfile, file: soundfile.write(file, np.zeros(5000, "f4"), 8000, format="WAV"),
        lambda soundfile, file: int(soundfile.info(file).frames),
        5000,
    ),
    "rasterio": Library("rasterio", ("wb", "w+b"), _geotiff, _geotiff_sum, _SUM, _geotiff_more, 0),
    "pandas: `to_stata`": Library(
        "pandas",
        ("wb", "w+b"),
        lambda pd, file: pd.DataFrame({"a": [1, 2]}).to_stata(file, version=118, write_index=False),
        lambda pd, file: int(pd.read_stata(io.BytesIO(file.read()))["a"].sum()),
        3,
    ),
}
CREATING = [(name, mode) for name, library in LIBRARIES.items() for mode in library.modes]


class Broken(Exception):
    pass


@pytest.mark.parametrize(("name", "mode"), CREATING)
def test_a_file_is_created_and_changed(store: Store, name: str, mode: str) -> None:
    """And not after an exception."""
    library, path = LIBRARIES[name], store.path("file")
    try:
        module = import_module(library.needs)
    except ImportError:
        pytest.skip(f"{library.needs} is not installed")
    with pytest.raises(Broken), store.fs.open(path, mode) as file:
        library.create(module, file)
        is_closed = file.closed
        raise Broken
    assert store.fs.exists(path) == is_closed  # SciPy's files close those below
    with store.fs.open(path, mode) as file:
        library.create(module, file)
    with store.fs.open(path) as file:
        assert library.read(module, file) == library.found
    if library.change is None:
        return
    with pytest.raises(Broken), store.fs.open(path, "r+b") as file:
        library.change(module, file)
        raise Broken
    with store.fs.open(path, "r+b") as file:
        library.change(module, file)
    with store.fs.open(path) as file:
        assert library.read(module, file) == library.changed

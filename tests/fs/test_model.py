"""The filesystem against a dict of {key: Version}, in random sequences of calls on moto's server.

The probe finds out that moto keeps conditions on PUT and DELETE, and none on copies: a conditional copy has
to be refused. Objects stay below the multipart threshold, where every condition is one of a PUT.
"""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from fsspec_guarded_s3 import GuardedS3FileSystem, ObjectChangedError
from tests.opening import filesystem
from tests.servers import MotoServer

# "a" and "a/b" are objects and directories as well, as S3 allows.
KEYS = (
    "a",
    "a/b",
    "a/b/c",
    "dir/x y",
    "dir/p+q",
    "dir/100%",
    "dir/a%2Fb",
    "dir/e=mc&2",
    "h#sh",
    "q?z",
    "ünï/日本 語",
)
DIRECTORIES = ("a", "a/b", "dir", "ünï", "nowhere")
WRONG_ETAG = '"00000000000000000000000000000000"'

keys = st.sampled_from(KEYS)
plain_keys = st.sampled_from([key for key in KEYS if "?" not in key])  # fsspec takes ? for a pattern
bodies = st.binary(max_size=40)
bounds = st.none() | st.integers(-50, 50)


class Version(NamedTuple):
    """What an object is: for a single PUT S3's ETag is the MD5 of the bytes."""

    etag: str
    data: bytes

    @classmethod
    def of(cls, data: bytes) -> Version:
        return cls(f'"{hashlib.md5(data).hexdigest()}"', data)


class WritingFailed(Exception):
    """The caller's own error."""


@contextmanager
def raises(expected: type[Exception] | None) -> Iterator[None]:
    """The block raises `expected`, or nothing."""
    if expected is None:
        yield
    else:
        with pytest.raises(expected):
            yield


class Model(RuleBasedStateMachine):
    """Every rule does the same to the store and to `objects`, and compares what came of it."""

    fs: GuardedS3FileSystem
    bucket: str

    def __init__(self) -> None:
        super().__init__()
        self.root = f"{self.bucket}/{uuid.uuid4().hex}"
        self.objects: dict[str, Version] = {}

    def at(self, key: str) -> str:
        return f"{self.root}/{key}"

    def is_directory(self, key: str) -> bool:
        return any(other.startswith(f"{key}/") for other in self.objects)

    def below(self, directory: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(f"{directory}/"))

    def bytes_of(self, key: str) -> bytes:
        return self.objects[key].data

    def directories(self) -> set[str]:
        parents = {str(parent) for key in self.objects for parent in Path(key).parents}
        return parents - {"."}

    def store(self, key: str, data: bytes) -> None:
        self.objects[key] = Version.of(data)

    def etag_for(self, key: str, right: bool) -> str:
        return self.objects[key].etag if right and key in self.objects else WRONG_ETAG

    def swap_error(self, key: str, right: bool) -> type[Exception] | None:
        if key not in self.objects:
            return FileNotFoundError
        return None if right else ObjectChangedError

    def missing_error(self, key: str) -> type[Exception] | None:
        return None if key in self.objects else FileNotFoundError

    # --- writing ---

    @rule(key=keys, data=bodies)
    def overwrite(self, key: str, data: bytes) -> None:
        self.fs.pipe_file(self.at(key), data)
        self.store(key, data)

    @rule(key=keys, data=bodies)
    def create(self, key: str, data: bytes) -> None:
        with raises(FileExistsError if key in self.objects else None):
            self.fs.pipe_file(self.at(key), data, mode="create")
        self.objects.setdefault(key, Version.of(data))

    @rule(key=keys, data=bodies)
    def put_if_absent(self, key: str, data: bytes) -> None:
        assert self.fs.put_if_absent(self.at(key), data) is (key not in self.objects)
        self.objects.setdefault(key, Version.of(data))

    @rule(key=keys, data=bodies, right=st.booleans())
    def swap(self, key: str, data: bytes, right: bool) -> None:
        expected = self.swap_error(key, right)
        with raises(expected):
            self.fs.pipe_file(self.at(key), data, if_match=self.etag_for(key, right))
        if expected is None:
            self.store(key, data)

    @rule(
        key=keys,
        mode=st.sampled_from(["wb", "xb", "ab"]),
        chunks=st.lists(bodies, max_size=3),
        ending=st.sampled_from(["close", "raise", "discard"]),
    )
    def write(self, key: str, mode: str, chunks: list[bytes], ending: str) -> None:
        if mode == "xb" and key in self.objects:
            with pytest.raises(FileExistsError):
                self.fs.open(self.at(key), mode)
            return
        with raises(WritingFailed if ending == "raise" else None), self.fs.open(self.at(key), mode) as file:
            old = self.bytes_of(key) if mode == "ab" and key in self.objects else b""
            assert file.tell() == len(old)
            for chunk in chunks:
                file.write(chunk)
            if ending == "raise":
                raise WritingFailed
            if ending == "discard":
                file.discard()
        if ending == "close":
            self.store(key, old + b"".join(chunks))

    @rule(key=keys, mode=st.sampled_from(["wb", "xb", "ab"]), data=bodies, rivals=bodies)
    def write_while_a_rival_does(self, key: str, mode: str, data: bytes, rivals: bytes) -> None:
        """A rival replaces the object between open and close; `wb` is given the ETag it had."""
        if mode == "xb" and key in self.objects:
            return
        old = self.objects.get(key)
        condition = {"if_match": old.etag} if mode == "wb" and old else {}
        file = self.fs.open(self.at(key), mode, **condition)
        file.write(data)
        self.fs.pipe_file(self.at(key), rivals)
        self.store(key, rivals)
        appended_nothing = mode == "ab" and old is not None and not data
        unconditional = mode == "wb" and old is None
        if appended_nothing or unconditional or old == self.objects[key]:
            file.close()
            if not appended_nothing:
                self.store(key, (old.data if old and mode == "ab" else b"") + data)
            return
        with pytest.raises(ObjectChangedError if old else FileExistsError):
            file.close()

    @rule(key=keys, truncate=st.booleans())
    def touch(self, key: str, truncate: bool) -> None:
        refused = key in self.objects and not truncate
        with raises(NotImplementedError if refused else None):
            self.fs.touch(self.at(key), truncate=truncate)
        if not refused:
            self.store(key, b"")

    @rule(key=keys, suffix=bodies)
    def update(self, key: str, suffix: bytes) -> None:
        with raises(self.missing_error(key)):
            etag = self.fs.update(self.at(key), lambda old: old[:20] + suffix)
        if key in self.objects:
            self.store(key, self.bytes_of(key)[:20] + suffix)
            assert etag == self.objects[key].etag

    @rule(key=keys, data=bodies, create=st.booleans())
    def put_file(self, key: str, data: bytes, create: bool) -> None:
        refused = create and key in self.objects
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, "local")
            local.write_bytes(data)
            with raises(FileExistsError if refused else None):
                self.fs.put_file(str(local), self.at(key), mode="create" if create else "overwrite")
        if not refused:
            self.store(key, data)

    @rule(writes=st.dictionaries(keys, bodies, min_size=1, max_size=3), fails=st.booleans())
    def transaction(self, writes: dict[str, bytes], fails: bool) -> None:
        with raises(WritingFailed if fails else None), self.fs.transaction:
            for key, data in writes.items():
                self.fs.pipe_file(self.at(key), data)
                assert self.fs.exists(self.at(key)) is (key in self.objects or self.is_directory(key))
            if fails:
                raise WritingFailed
        if not fails:
            for key, data in writes.items():
                self.store(key, data)

    # --- removing, copying ---

    @rule(key=keys)
    def delete(self, key: str) -> None:
        with raises(self.missing_error(key)):
            self.fs.rm_file(self.at(key))
        self.objects.pop(key, None)

    @rule(key=keys, right=st.booleans())
    def delete_version(self, key: str, right: bool) -> None:
        expected = self.swap_error(key, right)
        with raises(expected):
            self.fs.rm_file(self.at(key), if_match=self.etag_for(key, right))
        if expected is None:
            del self.objects[key]

    @rule(directory=st.sampled_from(DIRECTORIES))
    def delete_tree(self, directory: str) -> None:
        doomed = [key for key in self.objects if key == directory or key.startswith(f"{directory}/")]
        with raises(None if doomed else FileNotFoundError):
            self.fs.rm(self.at(directory), recursive=True)
        for key in doomed:
            del self.objects[key]

    @rule(source=keys, to=keys)
    def copy(self, source: str, to: str) -> None:
        if source == to:  # S3 refuses it where the metadata stay the same
            return
        only_directory = source not in self.objects and self.is_directory(source)
        with raises(None if only_directory else self.missing_error(source)):
            self.fs.cp_file(self.at(source), self.at(to))
        if source in self.objects:
            self.objects[to] = self.objects[source]

    @rule(source=keys, to=keys)
    def conditional_copy(self, source: str, to: str) -> None:
        """By PutObject, since moto honours no condition of CopyObject."""
        if source not in self.objects:
            return
        expected = FileExistsError if to in self.objects else None
        with raises(expected):
            self.fs.cp_file(self.at(source), self.at(to), mode="create")
        if expected is None:
            self.objects[to] = self.objects[source]

    @rule(source=plain_keys, to=plain_keys)
    def move(self, source: str, to: str) -> None:
        """fsspec's mv: into the target where that is a directory; a directory needs recursive=True."""
        final = f"{to}/{Path(source).name}" if self.is_directory(to) else to
        if source in (to, final):
            return
        expected = self.missing_error(source)
        if expected is not None and self.is_directory(source):
            expected = IsADirectoryError
        with raises(expected):
            self.fs.mv(self.at(source), self.at(to))
        if expected is None:
            self.objects[final] = self.objects.pop(source)

    # --- reading ---

    @rule(key=keys, start=bounds, end=bounds)
    def cat_slice(self, key: str, start: int | None, end: int | None) -> None:
        with raises(self.missing_error(key)):
            assert self.fs.cat_file(self.at(key), start, end) == self.bytes_of(key)[start:end]

    @rule(wanted=st.lists(st.tuples(keys, bounds, bounds), max_size=4))
    def cat_ranges(self, wanted: list[tuple[str, int | None, int | None]]) -> None:
        paths = [self.at(key) for key, _, _ in wanted]
        found = self.fs.cat_ranges(paths, [row[1] for row in wanted], [row[2] for row in wanted])
        assert len(found) == len(wanted)
        for (key, start, end), data in zip(wanted, found, strict=True):
            if key in self.objects:
                assert data == self.bytes_of(key)[start:end]
            else:
                assert isinstance(data, FileNotFoundError)

    @rule(key=keys, moves=st.lists(st.tuples(st.integers(0, 45), st.integers(-1, 20)), max_size=4))
    def seek_and_read(self, key: str, moves: list[tuple[int, int]]) -> None:
        if key not in self.objects:
            with pytest.raises(IsADirectoryError if self.is_directory(key) else FileNotFoundError):
                self.fs.open(self.at(key), "rb")
            return
        data = self.bytes_of(key)
        with self.fs.open(self.at(key), "rb") as file:
            assert file.size == len(data)
            for position, count in moves:
                file.seek(position)
                stop = len(data) if count < 0 else position + count
                assert file.read(count) == data[position:stop]

    @rule(key=keys)
    def get_file(self, key: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, "local")
            only_directory = key not in self.objects and self.is_directory(key)
            with raises(None if only_directory else self.missing_error(key)):
                self.fs.get_file(self.at(key), str(local))
            if key in self.objects:
                assert local.read_bytes() == self.bytes_of(key)
            assert [path.name for path in Path(folder).iterdir()] == (["local"] if local.exists() else [])

    @rule(key=keys | st.sampled_from(DIRECTORIES))
    def look_at(self, key: str) -> None:
        path, version, directory = self.at(key), self.objects.get(key), self.is_directory(key)
        there = version is not None or directory
        assert self.fs.exists(path) is there
        assert self.fs.isdir(path) is directory
        assert self.fs.isfile(path) is (version is not None)
        if not there:
            for call in (self.fs.info, self.fs.ls):
                with pytest.raises(FileNotFoundError):
                    call(path)
            return
        info = self.fs.info(path)
        assert info["name"] == path
        if version is None:
            assert info["type"] == "directory"
        else:
            assert (info["type"], info["ETag"], info["size"]) == ("file", version.etag, len(version.data))
            assert info["metadata"] == {}  # no write token shows

    @rule(directory=st.sampled_from(["", *DIRECTORIES]))
    def list_directory(self, directory: str) -> None:
        base = f"{directory}/" if directory else ""
        found = [key for key in self.objects if key.startswith(base)]
        children = {base + key[len(base) :].split("/")[0] for key in found}
        path = self.at(directory).rstrip("/")
        if children:
            rows = self.fs.ls(path, detail=True)
            shown = {(row["name"].removeprefix(f"{self.root}/"), row["type"]) for row in rows}
            files = {(key, "file") for key in children & set(found)}
            assert shown == files | {(key, "directory") for key in children if self.is_directory(key)}
        expected = found or [directory] * (directory in self.objects)
        assert self.fs.find(path) == sorted(map(self.at, expected))

    @rule()
    def glob(self) -> None:
        everything = set(self.objects) | self.directories()
        chosen: dict[str, Callable[[str], object]] = {
            "*": lambda key: "/" not in key,
            "dir/*": lambda key: key.startswith("dir/"),
            "*/?*%*": lambda key: key.count("/") == 1 and "%" in key.split("/")[1][1:],
            "**/b": lambda key: key.split("/")[-1] == "b",
        }
        for pattern, matches in chosen.items():
            expected = sorted(self.at(key) for key in everything if matches(key))
            assert self.fs.glob(self.at(pattern)) == expected, pattern

    # --- always ---

    @invariant()
    def listing_agrees(self) -> None:
        rows: dict[str, dict[str, Any]] = self.fs.find(self.root, detail=True)
        found = {name: (row["ETag"], row["size"]) for name, row in rows.items()}
        assert found == {
            self.at(key): (version.etag, len(version.data)) for key, version in self.objects.items()
        }

    def teardown(self) -> None:
        if not self.objects:
            return
        found = self.fs.cat(self.root, recursive=True)
        assert found == {self.at(key): version.data for key, version in self.objects.items()}
        assert self.fs.list_uploads(self.root) == []
        self.fs.rm(self.root, recursive=True)


def test_the_filesystem_agrees_with_a_dict(moto: MotoServer) -> None:
    store = filesystem(moto.url, probe="auto")
    name = f"model-{uuid.uuid4().hex}"
    store.mkdir(name)

    class OnMoto(Model):
        fs = store
        bucket = name

    run_state_machine_as_test(
        OnMoto,
        settings=settings(
            max_examples=60,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            print_blob=True,
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )

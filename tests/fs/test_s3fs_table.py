"""docs/s3fs.md has every public name of s3fs, and says of each what is true of ours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsspec_guarded_s3 import GuardedS3FileSystem
from fsspec_guarded_s3.options import FSSPEC_OPTIONS, Options
from tests.documents import DOCS
from tests.servers import MotoServer
from tests.stores import Store, new_store

DOCUMENT = (DOCS / "s3fs.md").read_text()


def table(name: str) -> dict[str, tuple[str, str]]:
    """The rows of a table: what the first column has between backticks -> the other two."""
    text = DOCUMENT.split(f"<!-- {name} -->\n")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    found = {row[0].strip("`"): (row[1], row[2]) for row in rows}
    assert len(found) == len(rows) > 10
    return found


def signature(shown: str) -> tuple[str, list[str]]:
    """`name(a, b)` as (name, [a, b])."""
    name, _, rest = shown.partition("(")
    return name, [parameter for parameter in rest.rstrip(")").split(", ") if parameter]


METHODS = {
    name: (parameters, *row)
    for shown, row in table("methods").items()
    for name, parameters in [signature(shown)]
}
ATTRIBUTES = table("attributes")
MADE_WITH = re.findall(r"`(\w+)`", DOCUMENT.split("by the names that s3fs has: ")[1].split(". You cannot")[0])
OPTIONS = table("options")
MODES = table("modes")
FILES = {shown.removesuffix("()"): row for shown, row in table("files").items()}


def our_parameters(name: str) -> list[str]:
    return [parameter for parameter in inspect.signature(getattr(GuardedS3FileSystem, name)).parameters]


# --- ours, as the page says ------------------------------------------------------------------------


def assert_refused(name: str, note: str) -> None:
    """Asked for it, the filesystem says what the page says."""
    fs = GuardedS3FileSystem(anon=True)
    assert not hasattr(fs, name)
    with pytest.raises(AttributeError) as caught:
        getattr(fs, name)
    assert str(caught.value).endswith(f"has no attribute {name!r}: {note.replace('`', '')}")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_there_or_not(name: str) -> None:
    """Of those that are not there, the page says what to use, and that is there."""
    _, here, note = METHODS[name]
    assert here in ("same", "differs", "no")
    assert callable(getattr(GuardedS3FileSystem, name, None)) == (here != "no")
    assert note or here == "same"
    if here == "no":
        assert_refused(name, note)
        known = {*dir(GuardedS3FileSystem), *Options.__dataclass_fields__, "with"}
        assert set(re.findall(r"`(\w+)", note)) <= known | set(METHODS)


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row[1] != "no"])
def test_a_parameter_of_s3fs_is_taken_or_named_as_a_difference(name: str) -> None:
    parameters, here, note = METHODS[name]
    missing = {parameter for parameter in parameters if parameter not in our_parameters(name)}
    assert missing <= set(re.findall(r"`(\w+)`", note))
    assert not missing or here == "differs"
    taken = [parameter for parameter in parameters if parameter not in missing]
    ours = [parameter for parameter in our_parameters(name) if parameter in taken]
    assert taken == ours or (here == "differs" and "position" in note)


@pytest.fixture
def store(moto: MotoServer) -> Store:
    store = new_store(moto)
    store.fs.pipe_file(store.path("old"), b"old")
    store.fs.put_tags(store.path("old"), {"a": "1"})
    return store


def odd(words: str) -> list[tuple[str, str]]:
    """(method, parameter) of all parameters of which the page says `words`."""
    said = rf"((?:`\w+`(?:, | and )?)+) {words}"
    return [
        (name, parameter)
        for name, (_, _, note) in METHODS.items()
        for names in re.findall(said, note)
        for parameter in re.findall(r"`(\w+)`", names)
    ]


def call(store: Store, name: str, parameter: str, folder: Path) -> None:
    old, new = store.path("old"), store.path("new")
    (folder / "file").write_bytes(b"new")
    arguments: dict[str, tuple[Any, ...]] = {
        "cat_ranges": ([old], [0], [1]),
        "copy": (old, new),
        "cp_file": (old, new),
        "get": (old, folder / "got"),
        "get_file": (old, folder / "got"),
        "pipe": ({new: b"1"},),
        "pipe_file": (new, b"1"),
        "put": (str(folder / "file"), new),
        "put_file": (folder / "file", new),
        "touch": (new,),
    }
    getattr(store.fs, name)(*arguments.get(name, (old,)), **{parameter: 7})


@pytest.mark.parametrize("name, parameter", odd("(?:has|have) no effect"))
def test_a_parameter_without_effect_is_taken(name: str, parameter: str, store: Store, tmp_path: Path) -> None:
    before = store.fs.find(store.bucket)
    call(store, name, parameter, tmp_path)
    assert store.fs.find(store.bucket) == before


@pytest.mark.parametrize("name, parameter", odd("(?:is|are) refused"))
def test_a_parameter_that_is_refused_raises(name: str, parameter: str, store: Store, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"does not take {parameter}: .*"):  # and what to do instead
        call(store, name, parameter, tmp_path)
    assert not store.fs.exists(store.path("new"))


def test_the_parameters_that_differ_are_found() -> None:
    """The two tests above would hold for none too."""
    assert len(odd("(?:has|have) no effect")) == 1
    assert len(odd("(?:is|are) refused")) == 4


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_is_there_or_not(name: str) -> None:
    here, note = ATTRIBUTES[name]
    assert here in ("same", "no")
    assert (name in dir(GuardedS3FileSystem)) == (here == "same")
    assert note or here == "same"
    if here == "no":
        assert_refused(name, note)
    if note.endswith("False here"):
        assert getattr(GuardedS3FileSystem, name) is False


def test_what_a_filesystem_was_made_with_can_be_read_and_not_set() -> None:
    given: dict[str, Any] = {
        "key": "a",
        "secret": "hush",
        "token": "c",
        "client_kwargs": {"endpoint_url": "http://127.0.0.1:9", "region_name": "eu-west-1"},
        "config_kwargs": {"read_timeout": 1},
        "s3_additional_kwargs": {"StorageClass": "GLACIER_IR"},
        "requester_pays": True,
        "version_aware": True,
        "cache_regions": False,
        "max_concurrency": 3,
        "default_cache_type": "bytes",
        "default_fill_cache": False,
        "default_block_size": 2**20,
        "fixed_upload_size": True,
    }
    fs = GuardedS3FileSystem(**given)
    assert {name: getattr(fs, name) for name in given} == given
    assert (fs.anon, fs.kwargs, fs.endpoint_url, fs.use_ssl) == (False, {}, "http://127.0.0.1:9", False)
    assert fs.req_kw == {"RequestPayer": "requester"}
    assert set(MADE_WITH) == {*given, "anon", "kwargs", "endpoint_url", "use_ssl", "req_kw", "session"} - {
        "default_block_size"
    }
    fs.client_kwargs["endpoint_url"] = "changed"
    assert fs.client_kwargs == given["client_kwargs"]
    assert "hush" not in repr(fs) + repr(fs.session)
    for name in MADE_WITH:
        with pytest.raises(AttributeError):
            setattr(fs, name, None)


def test_what_was_not_passed_has_the_default() -> None:
    fs = GuardedS3FileSystem(profile="p", skip_instance_cache=True)
    assert (fs.key, fs.secret, fs.token, fs.endpoint_url, fs.use_ssl) == (None, None, None, None, True)
    assert (fs.client_kwargs, fs.config_kwargs, fs.s3_additional_kwargs, fs.req_kw) == ({}, {}, {}, {})
    assert (fs.kwargs, fs.cache_regions, fs.default_fill_cache) == ({"profile": "p"}, True, True)
    assert (fs.default_block_size, fs.default_cache_type) == (Options().block_size, Options().cache_type)


VALUES: dict[str, Any] = {
    "anon": True,
    "endpoint_url": "https://s3.example",
    "key": "a",
    "secret": "b",
    "token": "c",
    "use_ssl": True,
    "client_kwargs": {"region_name": "eu-west-1"},
    "requester_pays": True,
    "default_block_size": 2**20,
    "default_fill_cache": False,
    "default_cache_type": "bytes",
    "version_aware": True,
    "config_kwargs": {"read_timeout": 1},
    "s3_additional_kwargs": {"StorageClass": "GLACIER_IR"},
    "session": object(),
    "username": "a",
    "password": "b",
    "cache_regions": True,
    "asynchronous": True,
    "loop": object(),
    "max_concurrency": 3,
    "fixed_upload_size": True,
    "local_expiry_check": True,
    "profile": "p",
    "use_listings_cache": True,
    "listings_expiry_time": 1.0,
    "max_paths": 1,
    "skip_instance_cache": True,
}
PAIRS = {"key": "secret", "secret": "key", "username": "password", "password": "username"}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_taken_ignored_or_refused(name: str) -> None:
    here, note = OPTIONS[name]
    beside = {"key": "a", "secret": "b"} if name == "token" else {}
    if name in PAIRS:  # one of a pair is no option
        beside[PAIRS[name]] = VALUES[PAIRS[name]]
    given = {**beside, name: VALUES[name]}
    if here == "refused":
        with pytest.raises(ValueError, match=f"{name} is not possible here"):
            Options.parse(given)
        assert note
    elif here == "same":
        without = {} if name in PAIRS else beside
        assert Options.parse(given) != Options.parse(without) or name in FSSPEC_OPTIONS
    else:
        assert here == "no effect"
        assert Options.parse(given) == Options()


def opened(store: Store, mode: str) -> bytes:
    with store.fs.open(store.path("old"), mode) as file:
        if "r" in mode and "+" not in mode:
            data = file.read()
            return data if isinstance(data, bytes) else data.encode()
        file.write(b"new" if "b" in mode else "new")
    return store.fs.cat_file(store.path("old"))


def written(store: Store, write: Callable[[str], None]) -> bytes:
    write(store.path("old"))
    return store.fs.cat_file(store.path("old"))


def tagged(store: Store, mode: str) -> dict[str, str]:
    store.fs.put_tags(store.path("old"), {"b": "2"}, mode=mode)
    return store.fs.get_tags(store.path("old"))


@pytest.mark.parametrize("call", MODES)
def test_a_mode_does_what_it_says(call: str, store: Store, tmp_path: Path) -> None:
    """`open`, `pipe_file`, `put_file` and `put_tags` on an object that is there."""
    found = re.search(r'^(\w+)\(.*"(.+)"\)$', call)
    assert found
    verb, mode = found.groups()
    (tmp_path / "file").write_bytes(b"new")
    does: dict[str, Callable[[], Any]] = {
        "open": lambda: opened(store, mode),
        "pipe_file": lambda: written(store, lambda path: store.fs.pipe_file(path, b"new", mode=mode)),
        "put_file": lambda: written(
            store, lambda path: store.fs.put_file(tmp_path / "file", path, mode=mode)
        ),
        "put_tags": lambda: tagged(store, mode),
    }
    here = MODES[call][1]
    if verb == "open" and here == "the same as text":
        here = MODES[f'open(path, "{mode}b")'][1]
    expected = {
        "reads": b"old",
        "overwrites": b"new",
        "appends": b"oldnew",
        "changes": b"new",  # all three bytes
        "replaces": {"b": "2"},
        "merges": {"a": "1", "b": "2"},
        "creates": FileExistsError,
        "`ValueError`": ValueError,
    }[re.split("[,:;]", here)[0]]
    if isinstance(expected, type):
        with pytest.raises(expected):
            does[verb]()
        assert store.fs.cat_file(store.path("old")) == b"old"
    else:
        assert does[verb]() == expected


def test_what_creates_does_so(store: Store) -> None:
    for number, mode in enumerate(("x", "xb")):
        with store.fs.open(store.path(f"{number}"), mode) as file:
            file.write(b"1" if "b" in mode else "1")
        assert store.fs.cat_file(store.path(f"{number}")) == b"1"


def test_files_have_what_they_say(store: Store) -> None:
    with store.fs.open(store.path("old")) as reader, store.fs.open(store.path("new"), "wb") as writer:
        for name, (here, note) in FILES.items():
            wanted = {"readers": (reader,), "writers": (writer,), "both": (reader, writer), "no": ()}[here]
            assert all(hasattr(file, name) for file in wanted), name
            if here == "no":
                assert note
                assert not hasattr(reader, name) and not hasattr(writer, name), name


ROW = {"Key", "Size", "StorageClass", "type", "size", "name"}  # of s3fs's ls, for whatever it is


def test_rows_have_the_names_of_s3fs(store: Store) -> None:
    """Code for s3fs reads `row["Key"]`, `row["Size"]`, and `StorageClass` to tell directories."""
    fs, path = store.fs, store.path("d/x")
    fs.pipe_file(path, b"123")
    buckets = {row["name"]: row for row in fs.ls("", detail=True)}
    rows = [
        buckets[store.bucket],
        *fs.ls(store.bucket, detail=True),
        *fs.find(store.bucket, detail=True).values(),
    ]
    rows += [*fs.glob(f"{store.bucket}/*", detail=True).values(), fs.info(path), fs.info(store.path("d"))]
    assert all(row.keys() >= ROW and (row["Key"], row["Size"]) == (row["name"], row["size"]) for row in rows)
    kinds = {row["name"]: (row["StorageClass"], row["type"], row["Size"]) for row in rows}
    assert kinds == {
        store.bucket: ("BUCKET", "directory", 0),
        store.path("d"): ("DIRECTORY", "directory", 0),
        store.path("d/x"): ("STANDARD", "file", 3),
        store.path("old"): ("STANDARD", "file", 3),
    }


def test_files_tell_of_the_version_that_they_read(store: Store) -> None:
    store.fs.pipe_file(store.path("m"), b"1", Metadata={"a_b": "c"})
    with store.fs.open(store.path("m")) as file:
        assert (file.metadata(), file.getxattr("a_b"), file.getxattr("none")) == ({"a-b": "c"}, "c", None)
        file.setxattr(copy_kwargs={"ContentType": "text/csv"}, d="e")
        assert (file.metadata(), file.getxattr("d")) == ({"a-b": "c", "d": "e"}, "e")
        assert file.read() == b"1"
        assert file.url(expires=5).startswith(f"{store.options['endpoint_url']}/{store.path('m')}?")
    assert store.fs.metadata(store.path("m")) == {"a-b": "c", "d": "e"}
    assert store.fs.info(store.path("m"))["ContentType"] == "text/csv"


def test_a_coroutine_of_a_method_that_is_not_here_is_told_what_to_use(store: Store) -> None:
    with pytest.raises(AttributeError, match=r"'_get_s3': there is no botocore client"):
        store.fs._get_s3()
    with pytest.raises(AttributeError, match=r"has no attribute 'zzz'$"):
        store.fs.zzz()


# --- s3fs, as the page has it ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3fs() -> Any:
    module = pytest.importorskip("s3fs", reason="s3fs, an extra of the benchmarks, is not installed")
    version = re.findall(r"s3fs (\d[\d.]*\d)", DOCUMENT)[0]
    if module.__version__ != version:
        pytest.skip(f"the page is about s3fs {version}, and {module.__version__} is installed")
    return module


def test_the_page_has_every_public_name_of_s3fs(s3fs: Any) -> None:
    kind = s3fs.S3FileSystem
    public = {name for name in dir(kind) if not name.startswith("_")}
    methods = {name for name in public if callable(getattr(kind, name))}
    assert set(METHODS) == methods
    assert set(ATTRIBUTES) == public - methods


def test_the_page_has_every_parameter_of_s3fs(s3fs: Any) -> None:
    """In the order of its methods, as they are called: synchronously, without what goes on to S3."""
    fs = s3fs.S3FileSystem(anon=True, skip_instance_cache=True)
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    for name, (parameters, *_) in METHODS.items():
        called = inspect.signature(getattr(fs, name)).parameters.values()
        assert parameters == [item.name for item in called if item.kind not in variable], name


def test_the_page_has_every_option_of_s3fs(s3fs: Any) -> None:
    """Its constructor's, and those that go through it to fsspec and to the session."""
    named = set(inspect.signature(s3fs.S3FileSystem.__init__).parameters) - {"self", "kwargs"}
    fsspecs = {"use_listings_cache", "listings_expiry_time", "max_paths", "skip_instance_cache"}
    assert set(OPTIONS) == named | fsspecs | {"profile"}
    assert set(VALUES) == set(OPTIONS)


def test_each_verb_that_is_a_coroutine_there_is_one_here(s3fs: Any) -> None:
    there = {name for name, _ in inspect.getmembers(s3fs.S3FileSystem, inspect.iscoroutinefunction)}
    verbs = {f"_{name}" for name, (_, kept, _) in METHODS.items() if kept != "no"}
    assert [
        name for name in there & verbs if not inspect.iscoroutinefunction(getattr(GuardedS3FileSystem, name))
    ] == []


def test_the_page_has_what_files_of_s3fs_have(s3fs: Any) -> None:
    own = {name for name in vars(s3fs.S3File) if not name.startswith("_")}
    assert own <= set(FILES)
    assert all(hasattr(s3fs.S3File, name) for name in FILES)

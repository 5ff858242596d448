"""Which filesystem fsspec gives for equal options: that of the settings of now, and none of other ones."""

from __future__ import annotations

import gc
import os
import pickle
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from fsspec_guarded_s3 import ConfigurationError, GuardedS3FileSystem
from fsspec_guarded_s3._values import surroundings as _surroundings
from tests.fake_s3 import FakeS3
from tests.scripted_server import ScriptedServer

OPTIONS = {"probe": "never"}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Credentials and no endpoint; nothing of the machine's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FIRST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    GuardedS3FileSystem.clear_instance_cache()
    yield
    GuardedS3FileSystem.clear_instance_cache()


def by_variable(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)


def by_file(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / ".aws").mkdir(exist_ok=True)
    (folder / ".aws" / "config").write_text(f"[default]\nendpoint_url = {url}\n")


def by_profile(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    config = folder / "profiles"
    name = f"p{url.rpartition(':')[2]}"
    with config.open("a") as file:
        file.write(f"[profile {name}]\nendpoint_url = {url}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", name)


def by_folder(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    home = folder / url.rpartition(":")[2]
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "config").write_text(f"[default]\nendpoint_url = {url}\n")
    monkeypatch.setenv("HOME", str(home))


WAYS: dict[str, Callable[..., None]] = {
    "variable": by_variable,
    "file": by_file,
    "profile": by_profile,
    "home": by_folder,
}


def write_by_filesystem() -> None:
    fsspec.filesystem("gs3", **OPTIONS).pipe_file("bucket/key", b"content")


def write_by_url() -> None:
    with fsspec.open("gs3://bucket/key", "wb", **OPTIONS) as file:
        file.write(b"content")


def write_by_pickle(kept: list[bytes] = []) -> None:  # noqa: B006 - one for both stores
    """A filesystem that was pickled reads the settings of where it is loaded."""
    if not kept:
        kept.append(pickle.dumps(fsspec.filesystem("gs3", **OPTIONS)))
    pickle.loads(kept[0]).pipe_file("bucket/key", b"content")


@pytest.mark.parametrize("write", [write_by_filesystem, write_by_url, write_by_pickle])
@pytest.mark.parametrize("way", WAYS)
def test_a_write_goes_where_the_settings_of_now_say(
    way: str, write: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stores = [FakeS3("bucket"), FakeS3("bucket")]
    with ScriptedServer(handler=stores[0]) as first, ScriptedServer(handler=stores[1]) as second:
        for server, store in zip((first, second), stores, strict=True):
            WAYS[way](server.url, monkeypatch, tmp_path)
            write()
            assert store.objects, "the write went to the store of before"
            store.objects.clear()
        assert not stores[0].objects


def test_credentials_of_now_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(handler=FakeS3("bucket")) as server:
        for key in ("FIRST", "SECOND"):
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
            fsspec.filesystem("gs3", endpoint_url=server.url, **OPTIONS).exists("bucket")
            assert f"Credential={key}/" in server.requests[-1].headers["authorization"]


def test_certificates_of_now_are_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile whose bundle is missing is an error, though another one was used before."""
    config = tmp_path / "profiles"
    config.write_text(f"[profile good]\n[profile bad]\nca_bundle = {tmp_path}/missing.pem\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with ScriptedServer(handler=FakeS3("bucket"), tls=True) as server:
        options: dict[str, Any] = {"endpoint_url": server.url, "max_attempts": 1, **OPTIONS}
        monkeypatch.setenv("AWS_PROFILE", "good")
        with pytest.raises(OSError):
            fsspec.filesystem("gs3", **options).ls("bucket")
        monkeypatch.setenv("AWS_PROFILE", "bad")
        with pytest.raises(ConfigurationError):
            fsspec.filesystem("gs3", **options).ls("bucket")


def test_equal_settings_give_the_same_filesystem(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fsspec.filesystem("gs3", **OPTIONS)
    monkeypatch.setenv("UNRELATED", "1")
    assert fsspec.filesystem("gs3", **OPTIONS) is first
    monkeypatch.setenv("AWS_PROFILE", "other")
    other = fsspec.filesystem("gs3", **OPTIONS)
    assert other is not first
    monkeypatch.delenv("AWS_PROFILE")
    assert fsspec.filesystem("gs3", **OPTIONS) is first
    assert other == first, "it is what the options say that is compared, in all processes alike"


def test_filesystems_of_old_settings_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are written anew every hour must not add up, with their connections."""
    made = []
    for number in range(3 * _surroundings.RECENT):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"KEY{number}")
        made.append(weakref.ref(fsspec.filesystem("gs3", **OPTIONS)))
        gc.collect()
    assert sum(kept() is not None for kept in made) <= _surroundings.RECENT
    assert made[-1]() is not None


def test_what_changes_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "hush-token")
    shown = repr(_surroundings.surroundings()) + repr(vars(fsspec.filesystem("gs3", **OPTIONS)))
    assert "hush" not in shown
    assert os.environ["AWS_SESSION_TOKEN"] == "hush-token"

"""Whose certificates are trusted, and which one is shown: it is used whole, or it is an error each time."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from fsspec_guarded_s3 import ConfigurationError, ConnectError
from fsspec_guarded_s3._http.trust import Trust, ssl_context
from fsspec_guarded_s3._values.deadline import Deadline
from fsspec_guarded_s3._values.models import WireRequest
from fsspec_guarded_s3._work import MustWaitError, without_waiting
from fsspec_guarded_s3.options import Options
from tests.opening import filesystem
from tests.scripted_server import ScriptedServer, certificate, respond

OK = respond(200, b"body", etag="one")


@pytest.fixture(autouse=True)
def no_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def profiles(monkeypatch: pytest.MonkeyPatch, folder: Path, **bundles: str) -> None:
    """A configuration file with these profiles, and the ca_bundle of each."""
    text = "".join(
        f"[{'default' if name == 'default' else f'profile {name}'}]\nca_bundle = {path}\n"
        for name, path in bundles.items()
    )
    (folder / "config").write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))


@pytest.mark.parametrize("profile", [None, "work"])
def test_bundle_of_the_profile_is_honoured(
    profile: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ScriptedServer([OK], tls=True) as server:
        profiles(monkeypatch, tmp_path, **{profile or "default": str(server.ca_path)})
        assert filesystem(server.url, profile=profile).cat_file("bucket/key") == b"body"


def test_bundle_of_the_option_goes_before_the_environment_and_that_before_the_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profiles(monkeypatch, tmp_path, default="/nowhere/profile.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/requests.pem")
    with ScriptedServer([OK, OK], tls=True) as server:
        with pytest.raises(ConfigurationError, match=r"profile\.pem"):
            filesystem(server.url).cat_file("bucket/key")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(server.ca_path))
        assert filesystem(server.url).cat_file("bucket/key") == b"body"
        monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/environment.pem")
        assert filesystem(server.url, ca_bundle=server.ca_path).cat_file("bucket/key") == b"body"
        with pytest.raises(ConfigurationError, match=r"AWS_CA_BUNDLE: '/nowhere/environment\.pem'"):
            filesystem(server.url, max_attempts=2).cat_file("bucket/key")


def test_bundle_may_be_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(ssl.get_default_verify_paths().openssl_capath)
    if not folder.is_dir():
        pytest.skip("the system has no folder of certificates")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder))
    assert ssl_context(Options(), lambda: None).verify_mode is ssl.CERT_REQUIRED


def test_machine_without_certificates_uses_those_that_botocore_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = ssl.DefaultVerifyPaths(None, None, "", "", "", "")  # type: ignore[arg-type]
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: None)
    context = ssl_context(Options(), lambda: None)
    assert context.cert_store_stats()["x509_ca"] > 50
    assert context.check_hostname


def test_certificate_that_is_not_trusted_is_not_tried_again() -> None:
    with ScriptedServer([], tls=True) as server:
        with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            filesystem(server.url).cat_file("bucket/key")
        assert server.connections == 1


# --- client certificates ---


def pem(folder: Path, kind: str) -> str:
    """The path of a client certificate that cannot be used."""
    found = folder / "client.pem"
    issued = trustme.CA().issue_cert("client@store.test")
    parts = [blob.bytes() for blob in issued.cert_chain_pems]
    if kind == "encrypted":
        key = issued.private_key_pem.bytes()
        serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
        loaded = serialization.load_pem_private_key(key, None)
        parts.append(
            loaded.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
    if kind == "garbage":
        parts = [b"no certificate"]
    if kind != "missing":
        found.write_bytes(b"".join(parts))
    return str(found)


@pytest.mark.parametrize("kind", ["missing", "garbage", "without a key", "encrypted"])
def test_client_certificate_that_cannot_be_loaded_is_an_error_each_time(kind: str, tmp_path: Path) -> None:
    """The second request must not go out without it."""
    with ScriptedServer([], tls=True) as server:
        fs = filesystem(server.url, ca_bundle=server.ca_path, client_cert=pem(tmp_path, kind))
        calls: list[Any] = [fs.cat_file, fs.cat_file, fs.info, fs.exists, fs.ls]
        for call in calls:
            with pytest.raises(ConfigurationError, match="client_cert"):
                call("bucket/key")
        assert server.connections == 0


def test_client_certificate_is_shown(tmp_path: Path) -> None:
    authority = trustme.CA()
    found = tmp_path / "client.pem"
    authority.issue_cert("client@store.test").private_key_and_cert_chain_pem.write_to_path(str(found))
    with certificate("127.0.0.1") as (context, ca_path):
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        with ScriptedServer([OK], tls=context) as server:
            fs = filesystem(server.url, ca_bundle=ca_path, client_cert=str(found))
            assert fs.cat_file("bucket/key") == b"body"


# --- files and variables that change while the process lives ---


def write_authority(path: Path, *, of: Path | None = None) -> None:
    """A bundle at `path`: that of the server, or one that did not sign anything."""
    path.write_bytes(trustme.CA().cert_pem.bytes() if of is None else of.read_bytes())


@pytest.mark.parametrize(
    "place", ["option", "AWS_CA_BUNDLE", "profile", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]
)
def test_a_bundle_that_was_replaced_counts_for_new_connections(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For a new filesystem of the same options, and for the older one, which is still there."""
    bundle = tmp_path / "bundle.pem"
    options = {"ca_bundle": str(bundle)} if place == "option" else {}
    if place == "profile":
        profiles(monkeypatch, tmp_path, default=str(bundle))
    elif place != "option":
        monkeypatch.setenv(place, str(bundle))
    with ScriptedServer([OK, OK], tls=True) as server:
        assert server.ca_path is not None
        write_authority(bundle)
        older = filesystem(server.url, **options)
        with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            older.cat_file("bucket/key")
        write_authority(bundle, of=Path(server.ca_path))
        assert filesystem(server.url, **options).cat_file("bucket/key") == b"body"
        assert older.cat_file("bucket/key") == b"body"
        write_authority(bundle)
        with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            filesystem(server.url, **options).cat_file("bucket/key")


def test_a_bundle_that_another_variable_names_counts_for_new_connections(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ScriptedServer([OK], tls=True) as server:
        write_authority(tmp_path / "other.pem")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "other.pem"))
        older = filesystem(server.url)
        with pytest.raises(ConnectError):
            older.cat_file("bucket/key")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(server.ca_path))
        assert filesystem(server.url).cat_file("bucket/key") == b"body"


def test_filesystems_of_two_profiles_in_the_environment_trust_what_each_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ScriptedServer([OK], tls=True) as server:
        write_authority(tmp_path / "other.pem")
        profiles(monkeypatch, tmp_path, one=str(server.ca_path), two=str(tmp_path / "other.pem"))
        monkeypatch.setenv("AWS_PROFILE", "one")
        one = filesystem(server.url, max_attempts=1)
        monkeypatch.setenv("AWS_PROFILE", "two")
        two = filesystem(server.url, max_attempts=1)
        for _ in range(2):
            with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                two.cat_file("bucket/key")
            two.close()
        monkeypatch.setenv("AWS_PROFILE", "one")
        one.close()
        assert one.cat_file("bucket/key") == b"body"


def test_a_client_certificate_that_was_replaced_is_shown(tmp_path: Path) -> None:
    authority, found = trustme.CA(), tmp_path / "client.pem"

    def write(issuer: trustme.CA) -> None:
        issuer.issue_cert("client@store.test").private_key_and_cert_chain_pem.write_to_path(str(found))

    with certificate("127.0.0.1") as (context, ca_path):
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        with ScriptedServer([OK, OK], tls=context) as server:
            write(trustme.CA())
            older = filesystem(server.url, ca_bundle=ca_path, client_cert=str(found), max_attempts=1)
            with pytest.raises(ConnectError):
                older.cat_file("bucket/key")
            write(authority)
            newer = filesystem(server.url, ca_bundle=ca_path, client_cert=str(found), max_attempts=1)
            assert newer.cat_file("bucket/key") == b"body"
            assert older.cat_file("bucket/key") == b"body"


def test_folder_whose_files_change_is_read_anew(tmp_path: Path) -> None:
    """In OpenSSL's form: each file is named by the hash of its subject."""
    trust = Trust(Options(ca_bundle=str(tmp_path)), lambda: None)
    before = trust.context()
    assert trust.context() is before
    (tmp_path / "0a775a30.0").write_text("one")
    after = trust.context()
    assert after is not before
    (tmp_path / "0a775a30.0").write_text("another")
    assert trust.context() not in (before, after)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_openssls_variables_are_honoured_and_what_they_name_is_not_missed(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(name, str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match=rf"{name}: .*gone.* cannot be loaded"):
        filesystem("https://127.0.0.1:9").exists("bucket/key")


def test_an_event_loop_loads_none(tmp_path: Path) -> None:
    """Where the files have changed, a thread looks at them, and gets the error."""
    with ScriptedServer([OK], tls=True) as server:
        bundle = tmp_path / "ca.pem"
        bundle.write_bytes(Path(server.ca_path).read_bytes())
        fs = filesystem(server.url, ca_bundle=str(bundle))
        assert fs.cat_file("bucket/key") == b"body"
        bundle.write_text("broken")
        transport = fs._client.store.transport
        for pool in transport._pools.values():
            pool.close_idle()
        request = WireRequest("GET", "https", "127.0.0.1", server.port, "/bucket/key", {}, b"", False)
        with pytest.raises(MustWaitError):
            without_waiting(lambda: transport.send(request, Deadline(5), early=True))
        with pytest.raises(ConfigurationError):
            fs.cat_file("bucket/key")

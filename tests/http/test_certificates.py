"""Whose certificates are trusted, and which one is shown: it is used whole, or it is an error each time."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from fsspec_guarded_s3 import ConfigurationError, ConnectError
from fsspec_guarded_s3._http.trust import ssl_context
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
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/cert.pem")
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
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

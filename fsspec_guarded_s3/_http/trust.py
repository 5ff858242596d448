"""Whose certificates are trusted, and which one is shown.

The first of these that is there: the option `ca_bundle`, AWS_CA_BUNDLE, the `ca_bundle` of the AWS profile,
REQUESTS_CA_BUNDLE, the system's store with what SSL_CERT_FILE and SSL_CERT_DIR name, and certifi's or
botocore's own bundle where there is none.
Invariants: a context is handed out whole, with the certificate that was asked for; and it is that of what
environment and files say now.
"""

from __future__ import annotations

import importlib.util
import os
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import ConfigurationError
from ..options import Options


class Trust:
    """The context for these options; made anew when what it was made of has changed. Thread-safe."""

    def __init__(self, options: Options, of_profile: Callable[[], str | None]) -> None:
        self._options = options
        self._of_profile = of_profile
        self._made: tuple[Any, ssl.SSLContext] | None = None

    def __repr__(self) -> str:
        return f"<Trust {'not used yet' if self._made is None else 'in use'}>"

    def context(self) -> ssl.SSLContext:
        """What decides which certificates are trusted. ConfigurationError for files that cannot be loaded."""
        made, source = self._made, self._source()
        if made is None or made[0] != source:
            made = self._made = source, ssl_context(self._options, self._of_profile)
        return made[1]

    def _source(self) -> Any:
        """What is another one when a context would be."""
        bundle = _bundle(self._options, self._of_profile)[1]
        own = [(path, _state(path)) for path in (bundle, self._options.client_cert) if path]
        if bundle:
            return own, ()
        return own, [(path, _state(path, below=False)) for _, path in _named_for_openssl()]


def _state(path: str, below: bool = True) -> Any:
    """What is another one when the file, or a file in the folder where `below`, was written or replaced."""
    try:
        found = os.stat(path)
        names = sorted(os.listdir(path)) if below and stat.S_ISDIR(found.st_mode) else ()
    except (OSError, ValueError):
        return None
    inside = [_state(os.path.join(path, name), below=False) for name in names]
    return found.st_ino, found.st_size, found.st_mtime_ns, inside


def _named_for_openssl() -> list[tuple[str, str]]:
    """What SSL_CERT_FILE and SSL_CERT_DIR name, each with its variable: a file, and any number of folders."""
    folders = os.environ.get("SSL_CERT_DIR", "").split(os.pathsep)
    named = [("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE", ""))]
    named += [("SSL_CERT_DIR", folder) for folder in folders]
    return [(variable, path) for variable, path in named if path]


def ssl_context(options: Options, of_profile: Callable[[], str | None]) -> ssl.SSLContext:
    """A context for these options; `of_profile` tells the bundle of the AWS profile.

    Raises ConfigurationError for files that cannot be loaded.
    """
    source, bundle = _bundle(options, of_profile)
    with _naming(source, bundle):
        folder = bundle if bundle and os.path.isdir(bundle) else None  # of certificates, by their hashes
        context = ssl.create_default_context(cafile=None if folder else bundle, capath=folder)
    if not bundle:
        _check_system(context)
        if _trusts_nobody(context):
            context.load_verify_locations(cafile=_bundle_of_a_library())
    context.set_alpn_protocols(["http/1.1"])
    if options.client_cert:
        with _naming("storage option client_cert", options.client_cert):
            context.load_cert_chain(options.client_cert, password=_no_password)
    return context


def _bundle(options: Options, of_profile: Callable[[], str | None]) -> tuple[str, str | None]:
    """Where the name of the bundle is from, and the name; None for the system's store."""
    if options.ca_bundle:
        return "storage option ca_bundle", options.ca_bundle
    path = os.environ.get("AWS_CA_BUNDLE")
    if path:
        return "AWS_CA_BUNDLE", path
    path = of_profile()
    if path:
        return "ca_bundle of the AWS profile", path
    return "REQUESTS_CA_BUNDLE", os.environ.get("REQUESTS_CA_BUNDLE") or None


def _check_system(context: ssl.SSLContext) -> None:
    """Raise ConfigurationError for what OpenSSL's variables name and OpenSSL itself would not miss."""
    for variable, path in _named_for_openssl():
        with _naming(variable, path):
            if variable == "SSL_CERT_FILE":
                context.load_verify_locations(cafile=path)
            else:
                os.listdir(path)


def _trusts_nobody(context: ssl.SSLContext) -> bool:
    """Whether the system has no store: slim containers, Python from python.org on macOS.

    OpenSSL reads a folder of certificates when it needs one of them, so that none of it is counted before.
    """
    folder = ssl.get_default_verify_paths().capath
    with suppress(OSError):
        if folder and os.listdir(folder):
            return False
    return not context.cert_store_stats()["x509_ca"]


def _bundle_of_a_library() -> str:
    """certifi's, else botocore's. Raises ConfigurationError where neither is there."""
    for library in ("certifi", "botocore"):
        found = importlib.util.find_spec(library)
        for folder in (found and found.submodule_search_locations) or ():
            bundle = os.path.join(folder, "cacert.pem")
            if os.path.isfile(bundle):
                return bundle
    raise ConfigurationError(
        "this system has no store of trusted certificates, and neither certifi nor botocore has a bundle of "
        "them: install certifi, or pass the storage option ca_bundle"
    )


def _no_password() -> str:
    """OpenSSL would ask for it at the terminal, and wait."""
    raise ValueError("its key is encrypted: there is nobody to ask for the password")


@contextmanager
def _naming(source: str, path: str | None) -> Iterator[None]:
    """Say which setting names the file that cannot be loaded: "No such file" alone is no help, and looks
    like a missing object.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{source}: {path!r} cannot be loaded: {reason}") from error

"""Whose certificates are trusted, and which one is shown.

The first of these that is there: the option `ca_bundle`, AWS_CA_BUNDLE, the `ca_bundle` of the AWS profile,
REQUESTS_CA_BUNDLE, the system's store, and certifi's or botocore's own bundle where the system has none.
Invariant: a context is handed out whole, with the certificate that was asked for.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..errors import ConfigurationError
from ..options import Options


def ssl_context(options: Options, of_profile: Callable[[], str | None]) -> ssl.SSLContext:
    """A context for these options; `of_profile` tells the bundle of the AWS profile.

    Raises ConfigurationError for files that cannot be loaded.
    """
    source, bundle = _bundle(options, of_profile)
    with _naming(source, bundle):
        folder = bundle if bundle and os.path.isdir(bundle) else None  # of certificates, by their hashes
        context = ssl.create_default_context(cafile=None if folder else bundle, capath=folder)
    if not bundle and _trusts_nobody(context):
        from botocore.httpsession import get_cert_path

        context.load_verify_locations(cafile=get_cert_path(True))
    context.set_alpn_protocols(["http/1.1"])
    if options.client_cert:
        with _naming("storage option client_cert", options.client_cert):
            context.load_cert_chain(options.client_cert, password=_no_password)
    return context


def _bundle(options: Options, of_profile: Callable[[], str | None]) -> tuple[str, str | None]:
    """Where the name of the bundle is from, and the name; None for the system's store."""
    if options.ca_bundle:
        return "storage option ca_bundle", options.ca_bundle
    for source, told in (
        ("AWS_CA_BUNDLE", os.environ.get("AWS_CA_BUNDLE")),
        ("ca_bundle of the AWS profile", of_profile()),
        ("REQUESTS_CA_BUNDLE", os.environ.get("REQUESTS_CA_BUNDLE")),
    ):
        if told:
            return source, told
    return "", None


def _trusts_nobody(context: ssl.SSLContext) -> bool:
    """Whether the system has no store: slim containers, Python from python.org on macOS.

    OpenSSL reads a folder of certificates when it needs one of them, so that none of it is counted before.
    """
    folder = ssl.get_default_verify_paths().capath
    with suppress(OSError):
        if folder and os.listdir(folder):
            return False
    return not context.cert_store_stats()["x509_ca"]


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
        said = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{source}: {path!r} cannot be loaded: {said}") from error

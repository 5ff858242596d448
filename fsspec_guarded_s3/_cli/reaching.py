"""The doctor's checks up to the first request: the steps before HTTP are tried one by one.

With the transport's own proxies and certificates, and with sockets of the doctor's own.
"""

from __future__ import annotations

import socket
import ssl

from ..errors import AccessDeniedError, ConfigurationError
from .findings import Patient, Seen, failed, ok, skipped


def endpoint(patient: Patient) -> Seen:
    try:
        endpoint = patient.client.store.endpoint(patient.path.bucket)
    except ValueError as error:
        if "allow_http" in str(error):
            return failed(error, "use https:// in --endpoint-url, or pass --allow-http")
        return failed(error, "correct --endpoint-url, --profile, --region or the AWS configuration")
    try:
        proxy = patient.transport.proxy(endpoint.scheme, endpoint.host, endpoint.port)
    except ConfigurationError as error:
        return failed(error, f"correct {endpoint.scheme.upper()}_PROXY in the environment")
    patient.endpoint = endpoint
    patient.hop = endpoint.host, endpoint.port
    seen = f"{endpoint.scheme}://{endpoint.netloc}"
    if proxy is None:
        return ok(seen)
    patient.proxied = True
    patient.hop = proxy.host, proxy.port
    return ok(f"{seen} through the proxy {proxy.host}:{proxy.port}")


def dns(patient: Patient) -> Seen:
    host, port = patient.hop
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        whose = "the proxy in the environment" if patient.proxied else "--endpoint-url and --region"
        remedy = f"look for a misspelling in {whose}; else see to this machine's name server or VPN"
        return failed(f"the name {host} is not known: {error.strerror}", remedy)
    return ok(", ".join(sorted({str(address[0]) for *_, address in found})[:3]))


def tcp(patient: Patient) -> Seen:
    host, port = patient.hop
    try:
        with socket.create_connection((host, port), timeout=patient.options.connect_timeout):
            return ok(f"connected to port {port}")
    except ConnectionRefusedError:
        remedy = "start the server, or correct host and port"
        if patient.proxied:
            remedy = "start the proxy, correct its variable (HTTPS_PROXY, say), or name the store in NO_PROXY"
        return failed(f"{host}:{port} refuses connections", remedy)
    except OSError as error:
        remedy = "correct host and port; a firewall, a VPN or a missing proxy may be in the way"
        return failed(f"no connection to {host}:{port}: {error.strerror or error}", remedy)


def tls(patient: Patient) -> Seen:
    endpoint = patient.endpoint
    if endpoint.scheme == "http":
        return skipped("plain http")
    if patient.proxied:
        return skipped("left to the proxy")
    try:
        context = patient.transport.ssl_context()
    except ConfigurationError as error:
        return failed(error, f"correct {error.message.partition(':')[0].replace('storage option ', '-o ')}")
    try:
        with (
            socket.create_connection(patient.hop, timeout=patient.options.connect_timeout) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host) as secure,
        ):
            expires = (secure.getpeercert() or {}).get("notAfter")
            return ok(f"{secure.version()}, certificate until {expires}")
    except ssl.SSLCertVerificationError as error:
        remedy = "set AWS_CA_BUNDLE to the PEM file of the authority that signed it, if you trust that"
        return failed(f"the certificate is not trusted: {error.verify_message}", remedy)
    except OSError as error:
        remedy = "does this port speak TLS? Use http:// in --endpoint-url where it does not"
        return failed(f"no TLS: {getattr(error, 'reason', None) or error}", remedy)


def credentials(patient: Patient) -> Seen:
    if patient.options.anon:
        return skipped("requests are not signed")
    try:
        key, source = patient.client.store.identity()
    except AccessDeniedError as error:
        remedy = (
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass --profile; --anon for public buckets"
        )
        return failed(error.message.partition(":")[0], remedy)
    shown = f"key {key[:4]}..." if len(key) >= 16 else "a key"  # of a short one too little would be hidden
    return ok(f"{shown} from {source}")

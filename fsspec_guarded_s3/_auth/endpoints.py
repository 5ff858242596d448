"""Where the buckets are: botocore's endpoint rules, evaluated once per bucket.

A bucket may be in another region than the configured one. `Endpoints.learn` keeps that region: it is told by
`_s3.corrections`, which reads it from a refusal, and by `_s3.buckets`, which makes buckets.

Invariant: no endpoint is plain http to another host unless that is allowed.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from .._forks import importing
from .._values.dialects import GCS, S3, Dialect, dialect_of
from .._values.paths import is_loopback
from .._work import must_wait
from ..errors import ConfigurationError
from ..options import Options, choices_of, endpoint_fault
from .session import Session
from .settings import variable
from .unconfigured import ENDPOINTS, Unconfigured

logger = logging.getLogger("fsspec_guarded_s3")


# Buckets of which the rules know nothing: no ARN, and no suffix such as that of directory buckets.
_PLAIN = re.compile(r"(?!.*--)[a-z0-9][a-z0-9.-]*")
_PLAIN_LABEL = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # those that are the label of a host
_LEARNABLE = re.compile(r"(?!aws-)[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_SCOPE = re.compile(r"[A-Za-z0-9*][A-Za-z0-9_.,*-]*")  # what fits into the scope of a signature
_REGION = re.compile(r"(?!aws-)[a-z0-9-]+")
_REGION_OF_AWS = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d+")  # of the partition "aws"
_HOST_OF_S3 = re.compile(
    r"^s3[.-]|\.r2\.cloudflarestorage\.com$|^storage\.googleapis\.com$|\.digitaloceanspaces\.com$"
)
_NO_DOMAIN = re.compile(r"[\d.]+|.*:.*|[^.]*")  # addresses, and names of a local network
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Endpoint(NamedTuple):
    """Where a bucket is reached, for which region requests to it are signed, and how.

    `host` and `port` are where to connect to, `netloc` is the Host header, `base_path` is encoded as SigV4
    has it. `signature` is botocore's name of the scheme: sigv4, sigv4-s3express, or sigv4a with region "*".
    `dialect` says what the store calls differently.
    """

    scheme: str
    host: str
    port: int
    netloc: str
    base_path: str
    region: str
    service: str
    signature: str = "sigv4"
    dialect: Dialect = S3


class Endpoints:
    """The endpoint of each bucket, and the regions that were learned. Thread-safe."""

    def __init__(self, options: Options, session: Session) -> None:
        self._options = options
        self._session = session
        self._rules: Any = None
        self._endpoints: dict[str, Endpoint] = {}
        self._regions: dict[str, str] = {}  # learned
        self._proven: dict[str, str] = {}  # those of them by which a request was taken
        self._dialect: str = options.dialect

    def __repr__(self) -> str:
        return f"<Endpoints {len(self._endpoints)}>"

    def of(self, bucket: str) -> Endpoint:
        """The endpoint of `bucket` ("" for the service itself), resolved once."""
        found = self._endpoints.get(bucket)
        if found is None:
            must_wait()  # for files, and for botocore's rules
            with self._session.lock:
                found = self._endpoints[bucket] = self._resolve(bucket)
        return found

    def known(self, bucket: str) -> Endpoint | None:
        """As `of`; None where it has not been resolved."""
        return self._endpoints.get(bucket)

    def is_aws(self, bucket: str) -> bool:
        """Whether the host of `bucket` is of one of the partitions of AWS, as botocore knows them."""
        host = self.of(bucket).host
        if _NO_DOMAIN.fullmatch(host):
            return False
        if host.endswith(".amazonaws.com"):  # which is told without loading botocore
            return True
        return host.endswith(tuple(f".{domain}" for domain in self._provider().domains()))

    def learn(self, bucket: str, region: str) -> bool:
        """Remember that `bucket` is in `region`, on trial. Returns whether a retry makes sense."""
        if not _LEARNABLE.fullmatch(region):
            return False
        with self._session.lock:
            before = self._regions.get(bucket)
            if region == before:
                return True  # another thread learned it while this request was under way
            if self.of(bucket).region == region:
                return False
            self._regions[bucket] = region
            try:
                self._endpoints[bucket] = self._resolve(bucket)
            except ValueError:  # no region at all: the old endpoint stays
                self._put_back(bucket, before)
                return False
            logger.info("bucket %s is in region %s; requests go there from now on", bucket, region)
            return True

    def settle(self, bucket: str, region: str, proven: bool) -> None:
        """Keep the region of `bucket` that was learned; or forget it, where no request was taken by it."""
        with self._session.lock:
            if self._regions.get(bucket) != region:
                return
            if proven:
                self._proven[bucket] = region
            elif self._proven.get(bucket) != region:
                logger.info("bucket %s is not in region %s", bucket, region)
                self._put_back(bucket, self._proven.get(bucket))
                self._endpoints.pop(bucket, None)

    def learn_dialect(self) -> None:
        """An answer showed that Google Cloud Storage is behind the endpoint, under another name."""
        with self._session.lock:
            if self._dialect == "auto":
                self._dialect = GCS.name
                self._endpoints.clear()

    def forget_trial(self, bucket: str) -> bool:
        """Forget a region of `bucket` by which no request was taken yet. Returns whether there was one."""
        region = self._regions.get(bucket)
        if region is None or region == self._proven.get(bucket):
            return False
        self.settle(bucket, region, False)
        return True

    def forget_regions(self) -> None:
        """Forget every region that was learned."""
        with self._session.lock:
            for bucket in list(self._regions):
                self._endpoints.pop(bucket, None)
            self._regions.clear()
            self._proven.clear()

    def _put_back(self, bucket: str, region: str | None) -> None:
        self._regions.pop(bucket, None)
        if region:
            self._regions[bucket] = region

    def _resolve(self, bucket: str) -> Endpoint:
        options, session = self._options, self._session.configuration()
        custom, prefix = _checked_url(options.endpoint_url or self._configured_endpoint())
        if custom and _has_bucket(custom, prefix, bucket):
            logger.warning(
                "endpoint_url has the bucket %s in it, and requests name it once more: what is written gets "
                "keys that begin with it, and listings fail; leave the bucket out of endpoint_url",
                bucket,
            )
        dialect = dialect_of(self._dialect, urlsplit(custom).hostname or "")
        if dialect is not S3 and not custom:
            raise ConfigurationError(f"dialect={dialect.name!r} needs endpoint_url: where is the store?")
        region = self._regions.get(bucket) or options.region or dialect.region
        region = region or session.get_config_variable("region")
        # Every SDK but boto3 reads AWS_REGION, and some machines set that alone.
        region = region or os.environ.get("AWS_REGION") or "us-east-1"
        if not _SCOPE.fullmatch(region):
            raise ConfigurationError(f"region must be a name such as us-east-1, not {region!r}")
        profile = variable(session, "s3") or {}
        style = options.addressing_style
        if style == "auto":
            style = profile.get("addressing_style", "auto")
            styles = choices_of("addressing_style")
            if style not in styles:
                raise ConfigurationError(
                    f"addressing_style of the profile must be one of {', '.join(styles)}"
                )
        dual = (
            options.use_dualstack
            or bool(session.get_config_variable("use_dualstack_endpoint"))
            or bool(profile.get("use_dualstack_endpoint"))
        )
        fips = options.use_fips or bool(session.get_config_variable("use_fips_endpoint"))
        accelerated = bool(profile.get("use_accelerate_endpoint"))
        if not (options.use_accelerate or (not custom and (accelerated or dual or fips))):
            url = _plain_url(bucket, custom, prefix, region, style)
            if url:
                return self._checked(url, region, {"name": "sigv4"})
        return self._by_rules(bucket, custom, prefix, region, style, dual=dual, fips=fips)

    def _by_rules(
        self, bucket: str, custom: str, prefix: str, region: str, style: str, *, dual: bool, fips: bool
    ) -> Endpoint:
        options, session = self._options, self._session.configuration()
        profile = variable(session, "s3") or {}
        parameters: dict[str, Any] = {
            "Region": region,
            "UseFIPS": fips and not custom,
            "UseDualStack": dual and not custom,
            "ForcePathStyle": (style != "virtual") if custom else (style == "path"),
            "Accelerate": options.use_accelerate
            or (bool(profile.get("use_accelerate_endpoint")) and not custom),
            "UseGlobalEndpoint": False,
            "UseArnRegion": profile.get("use_arn_region", True),
            "DisableMultiRegionAccessPoints": profile.get("s3_disable_multiregion_access_points", False),
            # "true" or "false", which botocore does not make a boolean of in every version
            "DisableS3ExpressSessionAuth": str(
                session.get_config_variable("s3_disable_express_session_auth") or False
            ).lower()
            == "true",
        }
        if bucket:
            parameters["Bucket"] = bucket
        if custom:
            parameters["Endpoint"] = custom
        rule = self._provider().resolve(bucket, parameters)
        schemes = rule.properties.get("authSchemes") or [{"name": "sigv4"}]
        named = {scheme["name"]: scheme for scheme in reversed(schemes)}
        # SigV4 wherever it will do: Outposts offer SigV4A first, which costs more and needs awscrt.
        scheme = named.get("sigv4") or named.get("sigv4-s3express") or named.get("sigv4a")
        if scheme is None:
            raise ConfigurationError(
                f"bucket {bucket!r} wants {', '.join(named)} signatures, which nobody here knows"
            )
        signing_region = ",".join(scheme.get("signingRegionSet", ())) or scheme.get("signingRegion")
        parts = urlsplit(rule.url)
        url = f"{parts.scheme}://{parts.netloc}{prefix}{parts.path}"
        return self._checked(url, signing_region or parameters["Region"], scheme)

    def _checked(self, url: str, region: str, scheme: dict[str, Any]) -> Endpoint:
        parts = urlsplit(url)
        host, netloc = _authority(parts)
        if parts.scheme == "http" and not (is_loopback(host) or self._options.allow_http):
            raise ConfigurationError(
                f"endpoint_url is plain http to {host}: requests could be read on the way. "
                "Use https, or pass allow_http=True where the network is trusted"
            )
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        service = scheme.get("signingName", "s3")
        base_path = _canonical(parts.path.rstrip("/"))
        dialect = dialect_of(self._dialect, host)
        return Endpoint(parts.scheme, host, port, netloc, base_path, region, service, scheme["name"], dialect)

    def _configured_endpoint(self) -> str | None:
        """AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's, as botocore's clients read them."""
        session = self._session.configuration()
        if isinstance(session, Unconfigured):
            return next(filter(None, map(os.environ.get, ENDPOINTS)), None)
        url: str | None = _botocores().configured_endpoint(session)
        return url

    def _provider(self) -> Any:
        if self._rules is None:
            self._rules = _botocores().Rules(self._session.botocore())
        return self._rules


def _botocores() -> Any:
    """The module `rules`, which loads botocore."""
    with importing():
        from . import rules
    return rules


def _plain_url(bucket: str, custom: str, prefix: str, region: str, style: str) -> str:
    """The URL of `bucket` as the rules have it (test_endpoints.py), "" where they must be asked.

    To load them takes half of a cold start.
    """
    if custom:
        plain = style != "virtual" and _PLAIN.fullmatch(bucket) and _REGION.fullmatch(region)
        return f"{custom}{prefix}/{bucket}" if plain else ""
    plain = style == "auto" and _PLAIN_LABEL.fullmatch(bucket) and _REGION_OF_AWS.fullmatch(region)
    return f"https://{bucket}.s3.{region}.amazonaws.com" if plain else ""


def _checked_url(url: str | None) -> tuple[str, str]:
    """The endpoint that somebody configured: scheme and host, and its path, which the rules would encode."""
    if url is None:
        return "", ""
    fault = endpoint_fault(url)
    if fault is not None:
        raise ConfigurationError(f"endpoint_url {fault}")
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")


def _has_bucket(custom: str, prefix: str, bucket: str) -> bool:
    """Whether a configured endpoint names `bucket`, as consoles and documents of stores show its address."""
    if not bucket:
        return False
    host, label = urlsplit(custom).hostname or "", f"{bucket}."
    is_of_bucket = host.startswith(label) and bool(_HOST_OF_S3.search(host.removeprefix(label)))
    return is_of_bucket or prefix.endswith(f"/{bucket}")


def _authority(parts: SplitResult) -> tuple[str, str]:
    """The host to connect to, and the Host header: what a proxy or a server would make of it is signed.

    As botocore has it: in lower case, without the port of the scheme. A dot at the end, which stops the
    resolver from trying other domains, and an IPv6 zone (RFC 6874, 1) are for this machine alone.
    """
    host = (parts.hostname or "").replace("%25", "%")
    named = host.partition("%")[0].removesuffix(".")
    if ":" in named:
        named = f"[{named}]"
    if parts.port not in (None, _DEFAULT_PORTS[parts.scheme]):
        named = f"{named}:{parts.port}"
    if parts.scheme == "http" and f".{host}".removesuffix(".").endswith(".localhost"):
        host = "localhost"  # RFC 6761, 6.3; a resolver that asks the network would leak plain requests
    return host, named


def _canonical(path: str) -> str:
    """`path` as SigV4 encodes it, whichever way it was written: "/a b" and "/a%20b" are one."""
    return "/".join(quote(unquote_to_bytes(segment), safe="~") for segment in path.split("/"))

"""Where the buckets are: botocore's endpoint rules, evaluated once per bucket.

Invariant: no endpoint is plain http to another host unless that is allowed.
"""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import botocore.configprovider
import botocore.endpoint_provider
import botocore.exceptions

from ._options import Options
from ._paths import is_loopback
from ._session import Session

logger = logging.getLogger("fsspec_guarded_s3")


# Buckets of which the rules know nothing: no ARN, and no suffix such as that of directory buckets.
_PLAIN = re.compile(r"(?!.*--)[a-z0-9][a-z0-9.-]*")
_REGION = re.compile(r"(?!aws-)[a-z0-9-]+")
_RULES = "s3/2006-03-01/endpoint-rule-set-1"  # S3's API has had one version


class Endpoint(NamedTuple):
    """Where a bucket is reached, for which region requests to it are signed, and how.

    `signature` is botocore's name of the scheme: sigv4, sigv4-s3express, or sigv4a with the region "*".
    """

    scheme: str
    host: str
    port: int
    netloc: str
    base_path: str
    region: str
    service: str
    signature: str = "sigv4"


class Endpoints:
    """The endpoint of each bucket, and the regions that were learned. Thread-safe."""

    def __init__(self, options: Options, session: Session) -> None:
        self._options = options
        self._session = session
        self._rules: Any = None
        self._endpoints: dict[str, Endpoint] = {}
        self._regions: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Endpoints {len(self._endpoints)}>"

    def of(self, bucket: str) -> Endpoint:
        """The endpoint of `bucket` ("" for the service itself), resolved once."""
        found = self._endpoints.get(bucket)
        if found is None:
            with self._session.lock:
                found = self._endpoints[bucket] = self._resolve(bucket)
        return found

    def is_aws(self, bucket: str) -> bool:
        """Whether the host of `bucket` is of one of the partitions of AWS, as botocore knows them."""
        outputs = [partition["outputs"] for partition in self._load("partitions")["partitions"]]
        suffixes = [output[name] for output in outputs for name in ("dnsSuffix", "dualStackDnsSuffix")]
        return self.of(bucket).host.endswith(tuple(f".{suffix}" for suffix in suffixes))

    def learn(self, bucket: str, region: str) -> bool:
        """Remember that `bucket` is in `region`. Returns whether a retry makes sense."""
        with self._session.lock:
            before = self._regions.get(bucket)
            if region and region == before:
                return True  # another thread learned it while this request was under way
            if not region or self.of(bucket).region == region:
                return False
            self._regions[bucket] = region
            try:
                self._endpoints[bucket] = self._resolve(bucket)
            except ValueError:  # no region at all: the old endpoint stays
                self._regions.pop(bucket)
                if before:
                    self._regions[bucket] = before
                return False
            logger.info("bucket %s is in region %s; requests go there from now on", bucket, region)
            return True

    def _resolve(self, bucket: str) -> Endpoint:
        options, session = self._options, self._session.botocore()
        custom = _checked_url(options.endpoint_url or self._configured_endpoint())
        region = self._regions.get(bucket) or options.region or session.get_config_variable("region")
        profile = session.get_config_variable("s3") or {}
        style = options.addressing_style
        if style == "auto":
            style = profile.get("addressing_style", "auto")
        dual = (
            options.use_dualstack
            or bool(session.get_config_variable("use_dualstack_endpoint"))
            or bool(profile.get("use_dualstack_endpoint"))
        )
        fips = options.use_fips or bool(session.get_config_variable("use_fips_endpoint"))
        region = region or "us-east-1"
        plain = style != "virtual" and not options.use_accelerate and _PLAIN.fullmatch(bucket)
        if custom and not re.search("[?#]", custom) and plain and _REGION.fullmatch(region):
            # As the rules have it (test_endpoints.py), which take a twentieth of a cold start to load.
            return self._checked(f"{custom.rstrip('/')}/{bucket}", region, {"name": "sigv4"})
        parameters: dict[str, Any] = {
            "Region": region,
            "UseFIPS": fips and not custom,
            "UseDualStack": dual and not custom,
            "ForcePathStyle": (style != "virtual") if custom else (style == "path"),
            "Accelerate": options.use_accelerate
            or (bool(profile.get("use_accelerate_endpoint")) and not custom),
            "UseGlobalEndpoint": False,
            "UseArnRegion": True,
            "DisableMultiRegionAccessPoints": False,
        }
        if bucket:
            parameters["Bucket"] = bucket
        if custom:
            parameters["Endpoint"] = custom
        try:
            rule = self._provider().resolve_endpoint(**parameters)
        except botocore.exceptions.BotoCoreError as error:
            raise ValueError(f"no endpoint for bucket {bucket!r}: {error}") from error
        schemes = rule.properties.get("authSchemes") or [{"name": "sigv4"}]
        named = {scheme["name"]: scheme for scheme in reversed(schemes)}
        # SigV4 wherever it will do: Outposts offer SigV4A first, which costs more and needs awscrt.
        scheme = named.get("sigv4") or named.get("sigv4-s3express") or named.get("sigv4a")
        if scheme is None:
            raise ValueError(
                f"bucket {bucket!r} wants {', '.join(named)} signatures, which nobody here knows"
            )
        signing_region = ",".join(scheme.get("signingRegionSet", ())) or scheme.get("signingRegion")
        return self._checked(rule.url, signing_region or parameters["Region"], scheme)

    def _checked(self, url: str, region: str, scheme: dict[str, Any]) -> Endpoint:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "http" and not (is_loopback(host) or self._options.allow_http):
            raise ValueError(
                f"endpoint_url is plain http to {host}: requests could be read on the way. "
                "Use https, or pass allow_http=True where the network is trusted"
            )
        port = parts.port or (443 if parts.scheme == "https" else 80)
        service = scheme.get("signingName", "s3")
        return Endpoint(
            parts.scheme, host, port, parts.netloc, parts.path.rstrip("/"), region, service, scheme["name"]
        )

    def _configured_endpoint(self) -> str | None:
        """AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's, as botocore's clients read them."""
        session = self._session.botocore()
        if session.get_config_variable("ignore_configured_endpoint_urls"):
            return None
        provider = botocore.configprovider.ConfiguredEndpointProvider(
            full_config=session.full_config,
            scoped_config=session.get_scoped_config(),
            client_name="s3",
        )
        url: str | None = provider.provide()
        return url

    def _provider(self) -> Any:
        if self._rules is None:
            # By its name: `load_service_model` looks through the folders of all services first.
            rules, partitions = self._load(_RULES), self._load("partitions")
            self._rules = botocore.endpoint_provider.EndpointProvider(rules, partitions)
        return self._rules

    def _load(self, name: str) -> Any:
        """A file of botocore's data; it keeps what it has read."""
        return self._session.botocore().get_component("data_loader").load_data(name)


def _checked_url(url: str | None) -> str | None:
    """The endpoint that somebody configured. It is not shown before it is known to hold no password."""
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.username is not None:
        raise ValueError("endpoint_url must not hold a user name or password: pass key and secret")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"endpoint_url must be http:// or https:// and a host, not {url!r}")
    return url

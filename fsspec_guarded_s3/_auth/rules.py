"""botocore's rules of endpoints, its partitions, and the endpoint that its configuration names.

Loaded when a rule is wanted (`endpoints`), since botocore and its data take longer to load than all the rest.
The class that evaluates the rules is one that nobody promises: where it is gone, or another one, a client of
botocore's is asked (`rules_by_client`), which takes longer.
"""

from __future__ import annotations

import os
from typing import Any

import botocore.exceptions

from .._values.private_parts import say_once
from ..errors import ConfigurationError

_RULES = "s3/2006-03-01/endpoint-rule-set-1"  # S3's API has had one version
# As botocore 1.44 knows them, for those that keep them elsewhere.
_DOMAINS = (
    *("amazonaws.com", "api.aws", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "amazonaws.eu"),
    *("api.amazonwebservices.eu", "c2s.ic.gov", "api.aws.ic.gov", "sc2s.sgov.gov", "api.aws.scloud"),
    *("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
)


class Rules:
    """The rules of S3, as a session of botocore's has them. Thread-safe."""

    def __init__(self, session: Any) -> None:
        self._botocore = session
        self._provider: Any = None

    def __repr__(self) -> str:
        return f"<Rules {_RULES}>"

    def domains(self) -> frozenset[str]:
        """The domains of all partitions of AWS, such as amazonaws.com."""
        try:
            partitions = self._load("partitions")["partitions"]
            outputs = [partition["outputs"] for partition in partitions]
            return frozenset(
                output[name] for output in outputs for name in ("dnsSuffix", "dualStackDnsSuffix")
            )
        except Exception:  # whatever became of a part that nobody promises
            say_once("botocore's data of partitions", "AWS's domains are those that were known by then")
            return frozenset(_DOMAINS)

    def resolve(self, bucket: str, parameters: dict[str, Any]) -> Any:
        """`url` and `properties` of the rule for `bucket`. Raises ConfigurationError where there is none."""
        try:
            try:
                if self._provider is None:
                    self._provider = self._made_provider()
                return self._provider.resolve_endpoint(**parameters)
            except botocore.exceptions.BotoCoreError:
                raise
            except Exception:  # another signature, say
                self._provider = self._asked_client()
                return self._provider.resolve_endpoint(**parameters)
        except botocore.exceptions.BotoCoreError as error:
            raise ConfigurationError(f"no endpoint for bucket {bucket!r}: {error}") from error

    def _made_provider(self) -> Any:
        try:
            from botocore.endpoint_provider import EndpointProvider

            # By its name: `load_service_model` looks through the folders of all services first.
            return EndpointProvider(self._load(_RULES), self._load("partitions"))
        except Exception:  # gone, or called otherwise; BotoCoreError where the data are elsewhere
            return self._asked_client()

    @staticmethod
    def _asked_client() -> Any:
        say_once(
            "botocore.endpoint_provider.EndpointProvider", "a client of botocore's is asked, which is slower"
        )
        from .rules_by_client import AskedClient

        return AskedClient()

    def _load(self, name: str) -> Any:
        return self._botocore.get_component("data_loader").load_data(name)  # which keeps what it has read


def configured_endpoint(session: Any, service: str = "s3") -> str | None:
    """AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's, in the order of AWS's SDKs; of any service.

    That in the section `services` comes before that of the whole profile. Raises ConfigurationError.
    """
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    variables = (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL")
    of_environment = next(filter(None, map(os.environ.get, variables)), None)
    if of_environment:
        return of_environment
    profile = session.get_scoped_config()
    return _of_services(session, profile, service) or profile.get("endpoint_url") or None


def _of_services(session: Any, profile: dict[str, Any], service: str) -> str | None:
    """The `endpoint_url` of a service in the section of `services` that the profile names."""
    name = profile.get("services")
    if name is None:
        return None
    sections = session.full_config.get("services", {})
    section = sections.get(name) if isinstance(sections, dict) else None
    if not section or not isinstance(section.get(service, {}), dict):
        raise ConfigurationError(
            f"`services` of the AWS profile cannot be used: there is no section [services {name}], "
            f"or its {service} is no list of settings"
        )
    url: str | None = section.get(service, {}).get("endpoint_url")
    return url

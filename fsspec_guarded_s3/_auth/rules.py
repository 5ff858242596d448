"""botocore's rules of endpoints, its partitions, and the endpoint that its configuration names.

Loaded when a rule is wanted (`endpoints`), since botocore and its data take longer to load than all the rest.
"""

from __future__ import annotations

from typing import Any

import botocore.configprovider
import botocore.endpoint_provider
import botocore.exceptions

from ..errors import ConfigurationError

_RULES = "s3/2006-03-01/endpoint-rule-set-1"  # S3's API has had one version


class Rules:
    """The rules of S3, as a session of botocore's has them. Thread-safe."""

    def __init__(self, session: Any) -> None:
        self._loader = session.get_component("data_loader")  # it keeps what it has read
        self._provider: Any = None

    def __repr__(self) -> str:
        return f"<Rules {_RULES}>"

    def partitions(self) -> list[dict[str, Any]]:
        """The partitions of AWS, with the suffixes of their hosts."""
        found: list[dict[str, Any]] = self._loader.load_data("partitions")["partitions"]
        return found

    def resolve(self, bucket: str, parameters: dict[str, Any]) -> Any:
        """The rule for `bucket`. Raises ConfigurationError where there is none."""
        if self._provider is None:
            # By its name: `load_service_model` looks through the folders of all services first.
            rules, partitions = self._loader.load_data(_RULES), self._loader.load_data("partitions")
            self._provider = botocore.endpoint_provider.EndpointProvider(rules, partitions)
        try:
            return self._provider.resolve_endpoint(**parameters)
        except botocore.exceptions.BotoCoreError as error:
            raise ConfigurationError(f"no endpoint for bucket {bucket!r}: {error}") from error


def configured_endpoint(session: Any, service: str = "s3") -> str | None:
    """AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's, as botocore's clients of a service read them.

    Raises ConfigurationError.
    """
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    provider = botocore.configprovider.ConfiguredEndpointProvider(
        full_config=session.full_config,
        scoped_config=session.get_scoped_config(),
        client_name=service,
    )
    try:
        url: str | None = provider.provide()
    except (botocore.exceptions.BotoCoreError, AttributeError) as error:  # a section is missing, or is none
        raise ConfigurationError(f"`services` of the AWS profile cannot be used: {error}") from error
    return url

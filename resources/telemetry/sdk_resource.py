"""The name under which this process sends metrics and traces."""

from opentelemetry.sdk.resources import Resource


def sdk_resource() -> Resource:
    """The service `casebridge`. `OTEL_RESOURCE_ATTRIBUTES` may add attributes, such as where the process runs."""
    return Resource.create({"service.name": "casebridge"})

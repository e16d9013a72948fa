"""Who tells the metrics and traces."""

from opentelemetry.sdk.resources import Resource


def sdk_resource() -> Resource:
    """`OTEL_RESOURCE_ATTRIBUTES` may add to it, such as the place where the process runs."""
    return Resource.create({"service.name": "casebridge"})

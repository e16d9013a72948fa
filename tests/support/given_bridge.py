"""Dagster's resource with a process that a test made: for a check that a test calls itself."""

from resources.wiring.process import Process
from resources.wiring.process_resource import ProcessResource


def resource_with(process: Process) -> ProcessResource:
    class GivenBridge(ProcessResource):
        def get(self) -> Process:
            return process

    return GivenBridge()

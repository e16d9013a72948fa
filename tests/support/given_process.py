"""Dagster's resource with a process that the test made, for a check that the test calls itself."""

from resources.wiring.process import Process
from resources.wiring.process_resource import ProcessResource


def resource_with(process: Process) -> ProcessResource:
    class GivenProcess(ProcessResource):
        def get(self) -> Process:
            return process

    return GivenProcess()

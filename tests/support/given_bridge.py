"""Dagster's resource with a bridge that a test made: for a check that a test calls itself."""

from resources.wiring.bridge import Bridge
from resources.wiring.bridge_resource import BridgeResource


def resource_with(bridge: Bridge) -> BridgeResource:
    class GivenBridge(BridgeResource):
        def get(self) -> Bridge:
            return bridge

    return GivenBridge()

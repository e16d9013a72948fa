"""Servers that the demo and the tests start as child processes on free loopback ports, and stop again.

One file a server. What is simulated is in `simulators`; what runs in production is in `deploy`. Nothing here knows casebridge.
"""

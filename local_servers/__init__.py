"""Servers that the demo and the tests start as child processes on free loopback ports, and stop again.

One file a server. What is simulated is in `simulators`. Nothing here knows casebridge.
"""

"""Real servers that the demo and the tests start as child processes on free loopback ports, and stop again.

There is one file for each server. Simulated systems are in `simulators`. Nothing here imports casebridge.
"""

"""The demo, and the simulators by themselves. Needs the development packages."""

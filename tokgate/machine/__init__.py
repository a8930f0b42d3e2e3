"""What tokgate knows of the machine it runs on: identity, lock, memory, telemetry, probes.

A worker imports `cpus`, `memory`, `probe` and `telemetry` in environments that hold little else, so those
need the standard library and numpy alone. Import the modules; this package imports none of them.
"""

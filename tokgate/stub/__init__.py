"""A streaming server with a schedule of its own, which knows the truth and tells it: it calibrates load clients."""

"""tokgate: a performance test suite for LLM inference that engineers can believe.

The packages are named after the stations of the flow:
scenario -> plan -> launch (worker) -> samples -> session -> judge -> verdict -> reports.
"""

__version__ = "0.1.0"

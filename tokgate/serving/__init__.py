"""Serving: what load clients of a streaming server measured, and the workloads it is held against."""

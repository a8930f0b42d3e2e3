"""`make bench`: the speed of the suite's own parts, as ratios measured interleaved in one run."""

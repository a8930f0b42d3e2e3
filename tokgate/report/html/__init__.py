"""The HTML report: one file, no network. Facts (data.py), figures (figures/), sections, then the page (page.py)."""

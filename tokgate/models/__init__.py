"""Models: a hub snapshot at a pinned revision, or the same shape with dummy weights; export, quantise.

    catalog.py    scenarios/models/*.toml          hub.py        what the hub or its cache has
    shapes.py     sizes of a decoder by formula    source.py     --model -> where the weights come from
    fit.py        does it fit in memory, on disk   cache.py      entries that are whole or not there
    artifacts.py  what an engine loads, built once
    steps.py      runs and times the steps of a build
    build.py      a child process that does one step of a build; its steps:
    dummy.py, reference.py, onnx_export.py, onnx_graph.py, quantize.py

The pytest process imports the modules of the upper part alone: no engine comes with them.
"""

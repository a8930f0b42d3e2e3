"""The proof kit: what the gate does on nights whose truth is known, beside what others would say of the same nights.

    situations   the nights of the table: a noise and what was done to the software
    noise        seeded arrays: session, night, launch, iteration, contamination, drift, two modes
    nights       from arrays to sessions and accepted baselines, as a run and `tokgate accept` make them
    recording    launches of a real machine, plain and with their work inflated; `record` makes one
    replay       nights drawn from a recording
    trial        one night: what tokgate and each rival say of it
    rivals       pytest-benchmark's --benchmark-compare-fail, Mann-Whitney on iterations, Welch on launches
    simulation   many nights over the cores
    rates        a share of nights with its Clopper-Pearson bounds
    claims       what the gate promises, and whether the rates break it
    table        what is printed

Only `simulation` (processes), `recording` and `record` (files, launches) touch the world.
"""

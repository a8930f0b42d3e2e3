"""A grid of settings, measured launch by launch in turns, and ranked with what can and cannot be told apart.

file.py         the TOML file            grid.py       its settings
candidates.py   settings as scenarios    opening.py    what they run on   dryrun.py    what would be measured
store.py        launches that are kept   schedule.py   which is next      campaign.py  makes them
estimates.py    figures and errors       constraints.py  limits held      outcome.py   all of it put together
ranking.py      order and groups         pareto.py     the front          winner.py    as command and scenario
words.py        what is said             table.py      the terminal       figures.py, page.py  the HTML page
"""

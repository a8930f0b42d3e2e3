"""From facts to plotly figures, as JSON-able dicts. Pure; colours are names that the page resolves by theme."""

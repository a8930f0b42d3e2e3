"""Names the plugin and the fixtures; what they do stands in tokgate/plugin.py and fixtures/."""

pytest_plugins = [
    "tokgate.plugin",
    "fixtures.measuring",
    "fixtures.publishing",
    "fixtures.judging",
    "fixtures.comparing",
    "pytester",
]

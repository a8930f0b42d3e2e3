"""How sessions and verdicts are shown: in the terminal, to JUnit, to people."""

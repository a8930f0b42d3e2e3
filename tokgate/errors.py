"""The ways a command can be refused, and the exit status each one means."""

from __future__ import annotations


class TokgateError(Exception):
    """An error with a message for the user: what was seen, what was expected, what to do next."""

    exit_status = 2


class InputError(TokgateError):
    """Bad input: a file, an option or an identifier that cannot be used as it is (exit status 2)."""


class MeasurementError(TokgateError):
    """A measurement could not be made or cannot be believed (exit status 4)."""

    exit_status = 4


class NoDeviceError(MeasurementError):
    """What is to be measured on is not here: no GPU, no driver, too few of them. Nothing is wrong with the rest."""

"""The ways a command can be refused, and the exit status each one means."""

from __future__ import annotations

import difflib


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


class TooFewGpusError(NoDeviceError):
    """There are GPUs here, and not as many as asked for; `machine_id` would be the id of as many of them."""

    def __init__(self, message: str, machine_id: str) -> None:
        super().__init__(message)
        self.machine_id = machine_id


def unknown(what: str, name: str, known: list[str]) -> str:
    """What to say of a name that is none of `known`, with the one that was probably meant."""
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {what} {name!r}: {hint}known are {', '.join(known)}"

"""Numbers that several processes take turns with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tokgate.serving.dealer import dealer, dealt

pytestmark = pytest.mark.unit

TAKE = "import sys; from tokgate.serving.dealer import dealt; print(*dealt(int(sys.argv[1])))"


def test_each_number_is_taken_once_and_in_order_by_one_process():
    with dealer(1000) as queue:
        assert list(dealt(queue)) == list(range(1000))
        assert list(dealt(queue)) == []


def test_processes_at_once_take_each_number_once():
    count = 100_000
    with dealer(count) as queue:
        command = [sys.executable, "-c", TAKE, str(queue)]
        takers = [subprocess.Popen(command, pass_fds=[queue], stdout=subprocess.PIPE, text=True) for _ in range(3)]
        taken = [[int(number) for number in taker.communicate()[0].split()] for taker in takers]
    assert sorted(number for numbers in taken for number in numbers) == list(range(count))
    assert all(numbers == sorted(numbers) for numbers in taken)

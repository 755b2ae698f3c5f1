"""Tasks for worker processes, which can import this file by its name."""

import os
import signal
import time

from pleura.errors import DatasetError


def square_or_die(number: int) -> int:
    if number in (7, 30):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.002)
    return number * number


def sulk(number: int) -> int:
    raise DatasetError(f"the disk is full at {number}")

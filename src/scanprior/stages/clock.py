"""What one job costs in time, also where several jobs share a process."""

from __future__ import annotations

import resource
import sys
import time


class Clock:
    """Wall and processor seconds of one job, and those of its process before it that no other job has counted."""

    counted = 0.0  # processor seconds of this process that earlier jobs have in their records

    def __init__(self) -> None:
        self.wall, self.cpu, self.stopped = time.time(), _cpu(), False
        self.startup = self.cpu - Clock.counted

    @property
    def on_gpu(self) -> float:
        """Processor seconds of a job that used a GPU, an upper bound of its GPU time; 0 when none was used."""
        torch = sys.modules.get("torch")
        used = torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized()
        return self.startup + self.cpu if used else 0.0

    def stop(self) -> None:
        """Turn the two readings into durations; once."""
        if not self.stopped:
            Clock.counted = _cpu()
            self.wall, self.cpu, self.stopped = time.time() - self.wall, Clock.counted - self.cpu, True


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

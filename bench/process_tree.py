"""What a process and all its children have used: CPU and memory, from /proc."""

from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Used:
    """CPU seconds since its start, user and system, and resident bytes now."""

    cpu_secs: float
    rss_bytes: int

    @property
    def rss_mb(self) -> float:
        """Resident memory in MB of 2^20 bytes."""
        return self.rss_bytes / 2**20


def measure(process_id: int) -> Used:
    """Add up a process, its living children, and those that it has waited for; zeros when it is gone.

    CPU counts in ticks of 10 ms; pages shared between processes count once for each.
    """
    try:
        root = psutil.Process(process_id)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return Used(0.0, 0)
    cpu_secs, rss_bytes = 0.0, 0
    for process in family:
        try:
            times = process.cpu_times()
            cpu_secs += times.user + times.system + times.children_user + times.children_system
            rss_bytes += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it ended meanwhile; its parent has its CPU
    return Used(cpu_secs, rss_bytes)

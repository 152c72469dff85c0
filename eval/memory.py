"""Peak and current memory of this process, from Linux."""

from __future__ import annotations

from pathlib import Path

__all__ = ["peak_memory", "resident_memory"]


def peak_memory() -> int:
    """Highest resident memory of this process so far, in bytes.

    getrusage is not suitable: its value starts with the memory of the parent process.
    """
    return status_bytes("VmHWM")


def resident_memory() -> int:
    """Resident memory of this process now, in bytes."""
    return status_bytes("VmRSS")


def status_bytes(name: str) -> int:
    """A number of /proc/self/status in bytes."""
    status = Path("/proc/self/status").read_text()
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(kibibytes) * 1024

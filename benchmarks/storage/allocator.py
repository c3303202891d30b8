"""What the C library does with memory that is freed."""

import ctypes
import sys

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed instead of handing it back to the system at once; elsewhere do nothing.

    Networks free and ask for the same megabytes at every step, and a page that comes fresh from the system costs more
    than the arithmetic on it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        # Larger blocks go back: of 50,000 images' distances, 200 MB at a time, small results split the kept blocks;
        # none fitted again, and an audit grew to 12 GB.
        mallopt(M_MMAP_THRESHOLD, 2**27)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

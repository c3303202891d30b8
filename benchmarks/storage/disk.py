"""What goes wrong with a disk."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
"""No space is left: whatever comes after would fail alike."""

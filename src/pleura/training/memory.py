"""How the process holds on to memory while it trains."""

import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Has glibc keep what is freed instead of giving it back; says whether it will.

    Every step of a training on the CPU frees and asks again for the same large maps. By default each is
    mapped anew, and the system zeroes it page by page: about a quarter of a step of `joint`. The process
    then never shrinks below its largest step. Other systems' allocators are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no libc by that name, or none with mallopt
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))

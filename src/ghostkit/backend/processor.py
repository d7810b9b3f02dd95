"""What this machine's processor can do, as the system says it."""

import platform


def processor() -> str:
    """What the processor can do, as the system says it; its name where it does not."""
    try:
        with open("/proc/cpuinfo") as stream:
            for line in stream:
                if line.startswith(("flags", "Features")):
                    return line
    except OSError:
        pass
    return platform.processor()

"""The feature flags of this machine's processor, as the operating system reports them."""

import platform


def processor() -> str:
    """The processor's feature flags as the system reports them; its name where it does not."""
    try:
        with open("/proc/cpuinfo") as stream:
            for line in stream:
                if line.startswith(("flags", "Features")):
                    return line
    except OSError:
        pass
    return platform.processor()

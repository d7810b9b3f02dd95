"""What may wait for ever, waited for a while."""

import threading


def within_20_s(work):
    """What `work` returns or raises; a thread of its own does it."""
    found = []

    def run():
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert found, "nothing came within 20 s"
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]

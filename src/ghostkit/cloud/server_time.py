"""A server's clock, to explain why a signed request was refused for its time."""

import urllib.error
import urllib.request

TIMEOUT_S = 5.0


def server_time(endpoint: str | None) -> str | None:
    """The Date in the server's answer to an unsigned request; None where there is none."""
    request = urllib.request.Request(endpoint or "https://s3.amazonaws.com", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return str(answer.headers["Date"])
    except urllib.error.HTTPError as answer:
        return answer.headers["Date"]
    except OSError:
        return None

"""What OBS demands and the S3 server lacks: buckets in host names, and OBS's own signature.

A stand-in written from OBS's description of its signature, strict about what it checks: the host
must be BUCKET.localhost, and the HMAC must be that of the request as it arrives. What passes goes
on to the real server, signed anew as it likes it; what does not is 403 with OBS's error code.
"""

import base64
import email.utils
import hashlib
import hmac
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

SIGNED = ("acl", "delete", "partnumber", "uploadid", "uploads", "versionid", "location")
PREFIXES = {"OBS": "x-obs-", "AWS": "x-amz-"}


def signature(secret: str, method: str, headers: dict[str, str], prefix: str, resource: str) -> str:
    """HMAC-SHA1 over method, MD5, type, date, the vendor's headers and the resource."""
    lower = {name.lower(): value for name, value in headers.items()}
    date = "" if f"{prefix}date" in lower else lower.get("date", "")
    lines = [method, lower.get("content-md5", ""), lower.get("content-type", ""), date]
    lines += [f"{n}:{lower[n].strip()}" for n in sorted(lower) if n.startswith(prefix)]
    text = "\n".join([*lines, resource])
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


@contextmanager
def gateway(server_port: int, key: str, secret: str) -> Iterator[tuple[int, list[str]]]:
    """(its port, the signature schemes it has accepted, in order)."""
    accepted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            host = self.headers["Host"].partition(":")[0]
            bucket = host.removesuffix(".localhost")
            scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
            given_key, _, given = rest.partition(":")
            url = urlsplit(self.path)
            query = parse_qsl(url.query, keep_blank_values=True)
            words = [n if v == "" else f"{n}={v}" for n, v in sorted(query) if n.lower() in SIGNED]
            resource = f"/{bucket}{url.path}" + ("?" + "&".join(words) if words else "")
            headers = dict(self.headers.items())
            wrong = ""
            if bucket == host or scheme not in PREFIXES:
                wrong = "AccessDenied"
            elif given_key != key:
                wrong = "InvalidAccessKeyId"
            elif given != signature(secret, self.command, headers, PREFIXES[scheme], resource):
                wrong = "SignatureDoesNotMatch"
            if wrong:
                self._send(403, {}, f"<Error><Code>{wrong}</Code></Error>".encode())
                return
            accepted.append(scheme)
            dropped = ("authorization", "host", "connection", "date")
            on = {
                name.lower().replace("x-obs-", "x-amz-"): value
                for name, value in headers.items()
                if name.lower() not in dropped
            }
            on["date"] = email.utils.formatdate(usegmt=True)
            on["authorization"] = (
                f"AWS {key}:{signature(secret, self.command, on, 'x-amz-', resource)}"
            )
            connection = http.client.HTTPConnection("127.0.0.1", server_port)
            path = f"/{bucket}{url.path}" + (f"?{url.query}" if url.query else "")
            connection.request(self.command, path, body or None, on)
            answer = connection.getresponse()
            content = answer.read()
            self._send(answer.status, dict(answer.getheaders()), content)
            connection.close()

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            length = headers.get("Content-Length", str(len(content)))
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection", "date", "server"):
                    self.send_header(name.replace("x-amz-", "x-obs-"), value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield httpd.server_address[1], accepted
    finally:
        httpd.shutdown()
        httpd.server_close()

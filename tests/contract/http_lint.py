"""Sends one request of every kind and checks the responses with httplint.

    python tests/contract/http_lint.py BASE_URL [HOST]

HOST names the host that runs the component; the default is orders-host. EXPECTED lists where other hosts differ, with
the reason.

Fails if a response has an unexpected status, if it lacks a header field that every response must have (RULES), or if
httplint reports an error or a warning that is not in ACCEPTED.
"""

import collections
import json
import socket
import sys
import time
import urllib.parse

from httplint import HttpRequestLinter, HttpResponseLinter, levels

# Accepted httplint notes, as (note, field), each with its reason.
ACCEPTED = {
    # httplint warns about every 400, because no client should cause one. These tests cause them on purpose.
    ("STATUS_BAD_REQUEST", ""),
    # The same applies to the target that is too long.
    ("STATUS_URI_TOO_LONG", ""),
    # RFC 9110 defines both fields for responses too, in particular for 415 (sections 12.5.1, 12.5.3 and 15.5.16).
    ("REQUEST_HDR_IN_RESPONSE", "accept"),
    ("REQUEST_HDR_IN_RESPONSE", "accept-encoding"),
    # A list has no ETag, because computing one would require reading the list. `no-cache` then makes caches fetch it
    # again, as intended.
    ("FRESHNESS_NO_CACHE_NO_VALIDATOR", ""),
    # The platform in front of the service authenticates. A request can therefore carry Authorization, and a shared
    # cache stores the response only if it is `public` (RFC 9111, section 3.5).
    ("STORE_PUBLIC_UNNECESSARY", ""),
}

# Header fields of every response, and of every error response.
RULES = {"x-content-type-options": "nosniff"}
ERROR_RULES = {"content-type": "application/problem+json", "cache-control": "no-store"}

ORDERS = "/api/v1/orders"
ORDER = {"customer": "ada", "currency": "EUR", "items": [{"sku": "tea-1", "quantity": 2, "unit_price": 450}]}
JSON = {"Content-Type": "application/json"}
GZIP = {"Accept-Encoding": "gzip"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
TIMEOUT_SECONDS = 15  # for one response

# Endpoints that orders-host adds. On other hosts the component gets these requests, for which the path does not exist.
HOST_ENDPOINTS = {
    "host endpoint": 404,
    "host endpoint, method not allowed": 404,
    "host endpoint, not modified": 404,
}
# Requests that are not sent to a host because they would crash it.
CRASHES = None
# Requests after which a host closes the connection without a response.
CLOSES = "closes"
# Differences that hosts share if they use hyper and wasmtime-wasi-http unchanged.
HYPER = HOST_ENDPOINTS | {
    # hyper's limits are higher: it accepts a target and a head of this length. The component rejects the parameter's
    # value.
    "target too long": 400,
    "head too large": 200,
    # The host cannot build the component's request without an authority, so the component is not called.
    "no Host": 500,
    # The host uses the first one.
    "two Hosts": 200,
}
# Statuses that differ on a host, by the name of the request.
EXPECTED = {
    "orders-host": {},
    # The small host for tests, guest/adapters/host.
    "orders-adapter-host": HYPER,
    "wasmtime": HYPER,
    # `wash dev`.
    "wasmcloud": HYPER,
    "spin": HYPER | {"no Host": CLOSES},
    "jco": HOST_ENDPOINTS
    | {
        # Node's limits are lower, and it applies one limit to the whole head.
        "target too long": 431,
        # The host uses the first one.
        "two Hosts": 200,
        # For an incomplete body, Node raises an error that jco's wasi:http does not map, and nothing catches it.
        "body too large, announced": CRASHES,
        "body with invalid framing": CRASHES,
    },
}
# Responses that a host generates without the component. Only their status is checked.
HOST_GENERATED = {
    "orders-adapter-host": {"no Host", "malformed header field", "body with invalid framing"},
    "wasmtime": {"no Host", "malformed header field", "body with invalid framing"},
    "wasmcloud": {"no Host", "malformed header field", "body with invalid framing"},
    # A body with invalid framing reaches the component, which rejects it.
    "spin": {"malformed header field"},
    "jco": {"target too long", "head too large", "no Host", "malformed header field"},
}
# Accepted httplint notes about the fields of a particular host.
ACCEPTED_BY_HOST = {
    # Node announces how long it keeps a connection open.
    "jco": {("FIELD_DEPRECATED", "keep-alive")},
}

Response = collections.namedtuple("Response", "status fields body")


class Linter:
    """Sends requests to one service, checks the responses, and counts httplint's notes."""

    def __init__(self, base_url, host):
        url = urllib.parse.urlsplit(base_url)
        self.address = (url.hostname, url.port or 80)
        self.base_url = f"http://{url.netloc}"
        self.host = host
        self.counts = collections.Counter()
        self.exchanges = 0
        self.requested = set()
        self.failures = []

    def request(self, name, method, target, status, fields=None, body=b"", raw=None):
        """Sends a request and checks the response. `raw` replaces the whole request; it is for malformed requests."""
        self.requested.add(name)
        if EXPECTED[self.host].get(name) == status:
            self.fail(name, f"unneeded entry in EXPECTED: the status is {status} on every host")
        status = EXPECTED[self.host].get(name, status)
        if status is CRASHES:
            print(f"---  {name:40} skipped: it would crash {self.host}")
            return None
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        sent = {"Host": "{}:{}".format(*self.address), "User-Agent": "orders-contract", **(fields or {})}
        if body and "Content-Length" not in sent:
            sent["Content-Length"] = str(len(body))
        head = [f"{method} {target} HTTP/1.1", *(f"{field}: {value}" for field, value in sent.items()), "", ""]
        started = time.time()
        status_line, received, content = self.exchange(raw or "\r\n".join(head).encode() + body, method)
        if status is CLOSES:
            if status_line:
                self.fail(name, f"the response is {status_line}, but {self.host} closes the connection")
            return None

        if not status_line:
            self.fail(name, "the connection was closed without a response")
            return None

        request = HttpRequestLinter(start_time=started)
        request.process_request_topline(method.encode(), (self.base_url + target).encode(), b"1.1")
        request.process_headers([(field.encode(), value.encode()) for field, value in sent.items()])
        request.feed_content(body)
        request.finish_content(True)
        linter = HttpResponseLinter(start_time=started)
        linter.request = request
        linter.is_head_response = method == "HEAD"
        linter.base_uri = self.base_url + target
        version, code, phrase = status_line.split(b" ", 2)
        linter.process_response_topline(version.removeprefix(b"HTTP/"), code, phrase)
        linter.process_headers(received)
        linter.feed_content(content)
        linter.finish_content(True)

        response = Response(int(code), {field.decode().lower(): value.decode() for field, value in received}, content)
        self.exchanges += 1
        print(f"{response.status}  {name:40} {method} {target[:56]}")
        if name in HOST_GENERATED.get(self.host, ()):
            if response.status != status:
                self.fail(name, f"the status is {response.status}, not {status}")
            return response
        self.check_response(name, response, status, method)
        self.check_notes(name, linter.notes)
        return response

    def exchange(self, request, method):
        """Sends bytes and returns the raw status line, header fields and content of the response."""
        with socket.create_connection(self.address, TIMEOUT_SECONDS) as connection:
            connection.sendall(request)
            stream = connection.makefile("rb")
            status_line = stream.readline().rstrip(b"\r\n")
            if not status_line:
                return b"", [], b""
            received = []
            while line := stream.readline().rstrip(b"\r\n"):
                field, _, value = line.partition(b":")
                received.append((field, value.strip()))
            fields = {field.lower(): value for field, value in received}
            if method == "HEAD" or status_line.split(b" ")[1] in (b"204", b"304"):
                return status_line, received, b""
            if fields.get(b"transfer-encoding") == b"chunked":
                content = b""
                while size := int(stream.readline(), 16):
                    content += stream.read(size)
                    stream.readline()
                return status_line, received, content
            return status_line, received, stream.read(int(fields.get(b"content-length", b"-1")))

    def check_response(self, name, response, status, method):
        """Checks the rules of the contract that apply to every response."""
        if response.status != status:
            self.fail(name, f"the status is {response.status}, not {status}")
        rules = RULES | ERROR_RULES if response.status >= 400 else RULES
        for field, value in rules.items():
            if response.fields.get(field) != value:
                self.fail(name, f"{field} is {response.fields.get(field)}, not {value}")
        if "x-request-id" not in response.fields:
            self.fail(name, "x-request-id is missing")
        if response.status >= 400 and method != "HEAD":
            try:
                problem = json.loads(response.body)
            except ValueError:
                problem = {}
            if problem.get("status") != response.status:
                self.fail(name, f"the status in the body is {problem.get('status')}, not {response.status}")

    def check_notes(self, name, notes):
        """Counts httplint's notes and reports those that are neither good nor merely informational."""
        for note in [*notes, *(child for note in notes for child in note.subnotes)]:
            self.counts[note.level] += 1
            if note.level in (levels.GOOD, levels.INFO):
                continue
            kind, field = type(note).__name__, str(note.vars.get("field_name", "")).lower()
            text = f"{note.level.value}: {note.summary} ({kind} {field})"
            if (kind, field) in ACCEPTED | ACCEPTED_BY_HOST.get(self.host, set()):
                print(f"     accepted {text}")
            else:
                self.fail(name, text)

    def fail(self, name, text):
        print(f"     {text}")
        self.failures.append(f"{name}: {text}")


def orders(lint):
    """Sends one request of every kind to the order operations."""
    lint.request("create", "POST", ORDERS, 201, JSON, ORDER)
    keyed = JSON | {"Idempotency-Key": f'"lint-{time.time_ns()}"'}
    lint.request("create, with a key", "POST", ORDERS, 201, keyed, ORDER)
    replayed = lint.request("create, key replayed", "POST", ORDERS, 201, keyed, ORDER)
    lint.request("create, key reused with another body", "POST", ORDERS, 422, keyed, ORDER | {"customer": "bob"})
    lint.request("create, malformed key", "POST", ORDERS, 400, JSON | {"Idempotency-Key": '"'}, ORDER)
    lint.request("create, not JSON", "POST", ORDERS, 400, JSON, b"{")
    lint.request("create, empty order", "POST", ORDERS, 422, JSON, {})
    lint.request("create, no content type", "POST", ORDERS, 415, {}, ORDER)
    lint.request("create, compressed body", "POST", ORDERS, 415, JSON | {"Content-Encoding": "gzip"}, ORDER)
    lint.request("create, not acceptable", "POST", ORDERS, 406, JSON | {"Accept": "text/html"}, ORDER)

    for method in ("GET", "HEAD"):
        lint.request("list", method, ORDERS, 200)
        lint.request("list, page with a next page", method, f"{ORDERS}?limit=1", 200)
        lint.request("list, filtered and sorted", method, f"{ORDERS}?status=pending&sort=created_at", 200)
        lint.request("list, unknown parameter", method, f"{ORDERS}?page=1", 400)
        lint.request("list, not acceptable", method, ORDERS, 406, {"Accept": "text/html"})

    large = ORDER | {"notes": "Leave it with the neighbours. " * 60}
    for _ in range(10):
        lint.request("create, large", "POST", ORDERS, 201, JSON, large)
    for method in ("GET", "HEAD"):
        compressed = lint.request("list, compressed", method, ORDERS, 200, GZIP)
        if compressed.fields.get("content-encoding") != "gzip":
            lint.fail("list, compressed", "a page of more than 16 KiB is not compressed")

    one = replayed.fields["location"]
    for method in ("GET", "HEAD"):
        got = lint.request("get", method, one, 200)
        lint.request("get, not modified", method, one, 304, {"If-None-Match": got.fields.get("etag", "none")})
        lint.request("get, unknown order", method, f"{ORDERS}/x", 404)
        lint.request("get, not acceptable", method, one, 406, {"Accept": "text/html"})

    known = MERGE_PATCH | {"If-Match": replayed.fields.get("etag", "none")}
    lint.request("update", "PATCH", one, 200, known, {"notes": "ring"})
    lint.request("update, no changes", "PATCH", one, 200, MERGE_PATCH, {"notes": "ring"})
    lint.request("update, stale version", "PATCH", one, 412, MERGE_PATCH | {"If-Match": '"1"'}, {"notes": None})
    lint.request("update, malformed precondition", "PATCH", one, 400, MERGE_PATCH | {"If-Match": "1"}, {"notes": None})
    lint.request("update, wrong content type", "PATCH", one, 415, JSON, {"notes": None})
    lint.request("update, not JSON", "PATCH", one, 400, MERGE_PATCH, b"{")
    lint.request("update, immutable member", "PATCH", one, 422, MERGE_PATCH, {"total": 1})
    lint.request("update, unknown order", "PATCH", f"{ORDERS}/x", 404, MERGE_PATCH, {"notes": None})

    lint.request("ship too early", "POST", f"{one}/ship", 409)
    lint.request("confirm", "POST", f"{one}/confirm", 200, JSON, {})
    lint.request("confirm again", "POST", f"{one}/confirm", 200)
    lint.request("ship, stale version", "POST", f"{one}/ship", 412, {"If-Match": '"1"'})
    lint.request("ship, unknown member", "POST", f"{one}/ship", 422, JSON, {"carrier": "x"})
    lint.request("ship, wrong content type", "POST", f"{one}/ship", 415, MERGE_PATCH, {})
    lint.request("ship", "POST", f"{one}/ship", 200, JSON, {"tracking": "JD014600003889"})
    lint.request("deliver", "POST", f"{one}/deliver", 200)
    lint.request("cancel too late", "POST", f"{one}/cancel", 409)
    lint.request("cancel, unknown order", "POST", f"{ORDERS}/x/cancel", 404)
    other = lint.request("create another", "POST", ORDERS, 201, JSON, ORDER).fields["location"]
    lint.request("cancel", "POST", f"{other}/cancel", 200, JSON, {"reason": "Ordered twice."})

    for method in ("GET", "HEAD"):
        lint.request("events", method, f"{one}/events", 200)
        lint.request("events, page with a next page", method, f"{one}/events?limit=2", 200)
        lint.request("events, unknown parameter", method, f"{one}/events?page=1", 400)
        lint.request("events, unknown order", method, f"{ORDERS}/x/events", 404)
    for path in (ORDERS, one, f"{one}/confirm", f"{one}/ship", f"{one}/deliver", f"{one}/cancel", f"{one}/events"):
        lint.request("allowed methods", "OPTIONS", path, 204)
        lint.request("method not allowed", "DELETE", path, 405)


def service(lint):
    """Sends one request of every kind to the endpoints that describe the service."""
    for method in ("GET", "HEAD"):
        got = lint.request("OpenAPI description", method, "/openapi.json", 200)
        current = {"If-None-Match": got.fields.get("etag", "none")}
        lint.request("OpenAPI description, not modified", method, "/openapi.json", 304, current)
        lint.request("OpenAPI description, not acceptable", method, "/openapi.json", 406, {"Accept": "text/html"})
        got = lint.request("OpenAPI description, compressed", method, "/openapi.json", 200, GZIP)
        current = GZIP | {"If-None-Match": got.fields.get("etag", "none")}
        lint.request("OpenAPI description, compressed, not modified", method, "/openapi.json", 304, current)
    description = json.loads(lint.request("OpenAPI description", "GET", "/openapi.json", 200).body)
    for slug in description["components"]["schemas"]["ProblemSlug"]["enum"]:
        for accept in ("application/json", "text/html"):
            lint.request(f"problem page, {accept}", "GET", f"/problems/{slug}", 200, {"Accept": accept})
    page = "/problems/no-such-path"
    got = lint.request("problem page", "HEAD", page, 200)
    lint.request("problem page, not modified", "GET", page, 304, {"If-None-Match": got.fields.get("etag", "none")})
    lint.request("problem page, not acceptable", "GET", page, 406, {"Accept": "image/png"})
    lint.request("problem page, unknown slug", "GET", "/problems/x", 404)
    for method in ("GET", "HEAD"):
        lint.request("first page", method, "/", 302)
    for path in ("/", "/openapi.json", page):
        lint.request("allowed methods", "OPTIONS", path, 204)
        lint.request("method not allowed", "POST", path, 405)
    lint.request("unknown path", "GET", "/nowhere", 404)
    for path in ("/docs", "/health", "/ready"):
        lint.request("host endpoint", "GET", path, 200)
        lint.request("host endpoint", "HEAD", path, 200)
        lint.request("host endpoint, method not allowed", "POST", path, 405)
    lint.request("host endpoint, not modified", "GET", "/docs", 304, {"If-None-Match": "*"})


def rejected_by_the_host(lint):
    """Sends requests that orders-host rejects before the component is called."""
    host = "Host: {}:{}\r\n".format(*lint.address).encode()
    lint.request("body too large, announced", "POST", ORDERS, 413, JSON | {"Content-Length": "1048577"})
    lint.request("target too long", "GET", f"{ORDERS}?customer={'x' * 40_000}", 414)
    lint.request("head too large", "GET", ORDERS, 431, {"X-Large": "x" * 40_000})
    lint.request("no Host", "GET", ORDERS, 400, raw=b"GET /api/v1/orders HTTP/1.1\r\n\r\n")
    lint.request("two Hosts", "GET", ORDERS, 400, raw=b"GET /api/v1/orders HTTP/1.1\r\n" + host + host + b"\r\n")
    chunks = b"POST /api/v1/orders HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nx\r\n"
    lint.request("body with invalid framing", "POST", ORDERS, 400, raw=chunks)
    lint.request("malformed header field", "GET", "/", 400, raw=b"GET / HTTP/1.1\r\nno field\r\n\r\n")


def main():
    lint = Linter(sys.argv[1], *(sys.argv[2:] or ["orders-host"]))
    orders(lint)
    service(lint)
    rejected_by_the_host(lint)
    for name in {*EXPECTED[lint.host], *HOST_GENERATED.get(lint.host, ())} - lint.requested:
        lint.fail(name, "has an expectation, but no such request was sent")
    counts = ", ".join(f"{lint.counts[level]} {level.value}" for level in levels)
    print(f"\n{lint.exchanges} responses; httplint notes: {counts}")
    for failure in lint.failures:
        print(f"failed: {failure}")
    return 1 if lint.failures else 0


if __name__ == "__main__":
    sys.exit(main())

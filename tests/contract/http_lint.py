"""Makes one request of every kind and has httplint judge the answers: `python tests/contract/http_lint.py BASE_URL [HOST]`.

HOST is what runs the component: ours, unless it is said. What is otherwise in another stands in EXPECTED, with its reason.

Fails on an answer with another status than expected, on one without what every answer has (the fields of RULES),
and on any fault or warning of httplint that is not in ACCEPTED.
"""

import collections
import json
import socket
import sys
import time
import urllib.parse

from httplint import HttpRequestLinter, HttpResponseLinter, levels

# What httplint may say, as (note, field), each with its reason.
ACCEPTED = {
    # It warns of every 400, since no client should cause one. Here they are caused on purpose.
    ("STATUS_BAD_REQUEST", ""),
    # The same for the target that is too long.
    ("STATUS_URI_TOO_LONG", ""),
    # RFC 9110 defines both fields for answers too, and for 415 above all (sections 12.5.1, 12.5.3 and 15.5.16).
    ("REQUEST_HDR_IN_RESPONSE", "accept"),
    ("REQUEST_HDR_IN_RESPONSE", "accept-encoding"),
    # A list has no ETag: to know that it is the same, it would have to be read. `no-cache` then means what it
    # should: ask again.
    ("FRESHNESS_NO_CACHE_NO_VALIDATOR", ""),
    # The platform in front authenticates: a request can have Authorization, and its answer is kept by a shared cache
    # only if it is `public` (RFC 9111, section 3.5).
    ("STORE_PUBLIC_UNNECESSARY", ""),
}

# What every answer has, and what every error has.
RULES = {"x-content-type-options": "nosniff"}
ERROR_RULES = {"content-type": "application/problem+json", "cache-control": "no-store"}

ORDERS = "/api/v1/orders"
ORDER = {"customer": "ada", "currency": "EUR", "items": [{"sku": "tea-1", "quantity": 2, "unit_price": 450}]}
JSON = {"Content-Type": "application/json"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
PATIENCE = 15  # seconds for one answer

# What our host adds and others do not have: the component is asked, and knows no such path.
OURS = {
    "by the host": 404,
    "by the host, another method": 404,
    "by the host, known": 404,
}
# What cannot be asked of a host: it would end.
ENDS = None
# What hosts have in common that take hyper and wasmtime-wasi-http as they are.
HYPER = OURS | {
    # hyper's bounds: a target this long is let through, and so is a head; the component refuses the value.
    "too long a target": 400,
    "too large a head": 200,
    # An instance that is not even asked: there is no authority to make its request with.
    "no Host": 500,
    # The first is taken.
    "two Hosts": 200,
}
# Statuses of other hosts than ours, by the name of the request.
EXPECTED = {
    "orders-host": {},
    # The small host for tests, guest/adapters/host.
    "orders-adapter-host": HYPER,
    "wasmtime": HYPER,
    "jco": OURS
    | {
        # Node's bounds are lower, and it looks at the whole head at once.
        "too long a target": 431,
        # The first is taken.
        "two Hosts": 200,
        # A body that breaks off is an error of Node's that its wasi:http does not know, and nobody catches.
        "too large a body, announced": ENDS,
        "a body framed wrongly": ENDS,
    },
}
# Answers of another host's own, which the component has no part in: only their status is looked at.
NOT_THE_COMPONENTS = {
    "orders-adapter-host": {"no Host", "not HTTP", "a body framed wrongly"},
    "wasmtime": {"no Host", "not HTTP", "a body framed wrongly"},
    "jco": {"too long a target", "too large a head", "no Host", "not HTTP"},
}
# What httplint may say of another host's fields.
ACCEPTED_OF = {
    # Node says how long it keeps a connection.
    "jco": {("FIELD_DEPRECATED", "keep-alive")},
}

Answer = collections.namedtuple("Answer", "status fields body")


class Linter:
    """Asks one service, and counts the notes about what it answers."""

    def __init__(self, base_url, host):
        url = urllib.parse.urlsplit(base_url)
        self.address = (url.hostname, url.port or 80)
        self.base_url = f"http://{url.netloc}"
        self.host = host
        self.counts = collections.Counter()
        self.exchanges = 0
        self.asked = set()
        self.wrong = []

    def ask(self, what, method, target, status, fields=None, body=b"", raw=None):
        """Makes a request and judges the answer. `raw` replaces the whole request, for those that are malformed."""
        self.asked.add(what)
        if EXPECTED[self.host].get(what) == status:
            self.fault(what, f"stands in EXPECTED, but is {status} everywhere")
        status = EXPECTED[self.host].get(what, status)
        if status is ENDS:
            print(f"---  {what:40} not asked: it would end {self.host}")
            return None
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        given = {"Host": "{}:{}".format(*self.address), "User-Agent": "orders-contract", **(fields or {})}
        if body and "Content-Length" not in given:
            given["Content-Length"] = str(len(body))
        head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        began = time.time()
        top_line, lines, content = self.exchange(raw or "\r\n".join(head).encode() + body, method)

        request = HttpRequestLinter(start_time=began)
        request.process_request_topline(method.encode(), (self.base_url + target).encode(), b"1.1")
        request.process_headers([(name.encode(), value.encode()) for name, value in given.items()])
        request.feed_content(body)
        request.finish_content(True)
        response = HttpResponseLinter(start_time=began)
        response.request = request
        response.is_head_response = method == "HEAD"
        response.base_uri = self.base_url + target
        version, code, phrase = top_line.split(b" ", 2)
        response.process_response_topline(version.removeprefix(b"HTTP/"), code, phrase)
        response.process_headers(lines)
        response.feed_content(content)
        response.finish_content(True)

        answer = Answer(int(code), {name.decode().lower(): value.decode() for name, value in lines}, content)
        self.exchanges += 1
        print(f"{answer.status}  {what:40} {method} {target[:56]}")
        if what in NOT_THE_COMPONENTS.get(self.host, ()):
            if answer.status != status:
                self.fault(what, f"answered with {answer.status}, not {status}")
            return answer
        self.check(what, answer, status, method)
        self.judge(what, response.notes)
        return answer

    def exchange(self, request, method):
        """Sends bytes; gives the first line of the answer, its fields and its content, as they came."""
        with socket.create_connection(self.address, PATIENCE) as connection:
            connection.sendall(request)
            stream = connection.makefile("rb")
            top_line = stream.readline().rstrip(b"\r\n")
            lines = []
            while line := stream.readline().rstrip(b"\r\n"):
                name, _, value = line.partition(b":")
                lines.append((name, value.strip()))
            fields = {name.lower(): value for name, value in lines}
            if method == "HEAD" or top_line.split(b" ")[1] in (b"204", b"304"):
                return top_line, lines, b""
            if fields.get(b"transfer-encoding") == b"chunked":
                content = b""
                while size := int(stream.readline(), 16):
                    content += stream.read(size)
                    stream.readline()
                return top_line, lines, content
            return top_line, lines, stream.read(int(fields.get(b"content-length", b"-1")))

    def check(self, what, answer, status, method):
        """Checks what the contract says of any answer."""
        if answer.status != status:
            self.fault(what, f"answered with {answer.status}, not {status}")
        rules = RULES | ERROR_RULES if answer.status >= 400 else RULES
        for name, value in rules.items():
            if answer.fields.get(name) != value:
                self.fault(what, f"{name} is {answer.fields.get(name)}, not {value}")
        if "x-request-id" not in answer.fields:
            self.fault(what, "there is no x-request-id")
        if answer.status >= 400 and method != "HEAD":
            try:
                problem = json.loads(answer.body)
            except ValueError:
                problem = {}
            if problem.get("status") != answer.status:
                self.fault(what, f"the status in the body is {problem.get('status')}")

    def judge(self, what, notes):
        """Counts the notes, and prints those that are more than a remark."""
        for note in [*notes, *(child for note in notes for child in note.subnotes)]:
            self.counts[note.level] += 1
            if note.level in (levels.GOOD, levels.INFO):
                continue
            name, field = type(note).__name__, str(note.vars.get("field_name", "")).lower()
            text = f"{note.level.value}: {note.summary} ({name} {field})"
            if (name, field) in ACCEPTED | ACCEPTED_OF.get(self.host, set()):
                print(f"     accepted {text}")
            else:
                self.fault(what, text)

    def fault(self, what, text):
        print(f"     {text}")
        self.wrong.append(f"{what}: {text}")


def orders(lint):
    """One request of every kind about orders."""
    lint.ask("create", "POST", ORDERS, 201, JSON, ORDER)
    keyed = JSON | {"Idempotency-Key": f'"lint-{time.time_ns()}"'}
    lint.ask("create, with a key", "POST", ORDERS, 201, keyed, ORDER)
    replayed = lint.ask("create, again with the key", "POST", ORDERS, 201, keyed, ORDER)
    lint.ask("create, the key with another body", "POST", ORDERS, 422, keyed, ORDER | {"customer": "bob"})
    lint.ask("create, a malformed key", "POST", ORDERS, 400, JSON | {"Idempotency-Key": '"'}, ORDER)
    lint.ask("create, not JSON", "POST", ORDERS, 400, JSON, b"{")
    lint.ask("create, an empty order", "POST", ORDERS, 422, JSON, {})
    lint.ask("create, no type", "POST", ORDERS, 415, {}, ORDER)
    lint.ask("create, compressed", "POST", ORDERS, 415, JSON | {"Content-Encoding": "gzip"}, ORDER)
    lint.ask("create, nothing acceptable", "POST", ORDERS, 406, JSON | {"Accept": "text/html"}, ORDER)

    for method in ("GET", "HEAD"):
        lint.ask("list", method, ORDERS, 200)
        lint.ask("list, a page with a next one", method, f"{ORDERS}?limit=1", 200)
        lint.ask("list, filtered and sorted", method, f"{ORDERS}?status=pending&sort=created_at", 200)
        lint.ask("list, an unknown parameter", method, f"{ORDERS}?page=1", 400)
        lint.ask("list, nothing acceptable", method, ORDERS, 406, {"Accept": "text/html"})

    one = replayed.fields["location"]
    for method in ("GET", "HEAD"):
        got = lint.ask("get", method, one, 200)
        lint.ask("get, known", method, one, 304, {"If-None-Match": got.fields.get("etag", "none")})
        lint.ask("get, no such order", method, f"{ORDERS}/x", 404)
        lint.ask("get, nothing acceptable", method, one, 406, {"Accept": "text/html"})

    known = MERGE_PATCH | {"If-Match": replayed.fields.get("etag", "none")}
    lint.ask("change", "PATCH", one, 200, known, {"notes": "ring"})
    lint.ask("change, nothing new", "PATCH", one, 200, MERGE_PATCH, {"notes": "ring"})
    lint.ask("change, an old version", "PATCH", one, 412, MERGE_PATCH | {"If-Match": '"1"'}, {"notes": None})
    lint.ask("change, a malformed precondition", "PATCH", one, 400, MERGE_PATCH | {"If-Match": "1"}, {"notes": None})
    lint.ask("change, another type", "PATCH", one, 415, JSON, {"notes": None})
    lint.ask("change, not JSON", "PATCH", one, 400, MERGE_PATCH, b"{")
    lint.ask("change, what cannot be changed", "PATCH", one, 422, MERGE_PATCH, {"total": 1})
    lint.ask("change, no such order", "PATCH", f"{ORDERS}/x", 404, MERGE_PATCH, {"notes": None})

    lint.ask("ship too early", "POST", f"{one}/ship", 409)
    lint.ask("confirm", "POST", f"{one}/confirm", 200, JSON, {})
    lint.ask("confirm, again", "POST", f"{one}/confirm", 200)
    lint.ask("ship, an old version", "POST", f"{one}/ship", 412, {"If-Match": '"1"'})
    lint.ask("ship, an unknown member", "POST", f"{one}/ship", 422, JSON, {"carrier": "x"})
    lint.ask("ship, another type", "POST", f"{one}/ship", 415, MERGE_PATCH, {})
    lint.ask("ship", "POST", f"{one}/ship", 200, JSON, {"tracking": "JD014600003889"})
    lint.ask("deliver", "POST", f"{one}/deliver", 200)
    lint.ask("cancel too late", "POST", f"{one}/cancel", 409)
    lint.ask("cancel, no such order", "POST", f"{ORDERS}/x/cancel", 404)
    other = lint.ask("create another", "POST", ORDERS, 201, JSON, ORDER).fields["location"]
    lint.ask("cancel", "POST", f"{other}/cancel", 200, JSON, {"reason": "Ordered twice."})

    for method in ("GET", "HEAD"):
        lint.ask("events", method, f"{one}/events", 200)
        lint.ask("events, a page with a next one", method, f"{one}/events?limit=2", 200)
        lint.ask("events, an unknown parameter", method, f"{one}/events?page=1", 400)
        lint.ask("events, no such order", method, f"{ORDERS}/x/events", 404)
    for path in (ORDERS, one, f"{one}/confirm", f"{one}/ship", f"{one}/deliver", f"{one}/cancel", f"{one}/events"):
        lint.ask("what can be done", "OPTIONS", path, 204)
        lint.ask("what cannot", "DELETE", path, 405)


def service(lint):
    """One request of every kind about the service itself."""
    for method in ("GET", "HEAD"):
        got = lint.ask("description", method, "/openapi.json", 200)
        lint.ask("description, known", method, "/openapi.json", 304, {"If-None-Match": got.fields.get("etag", "none")})
        lint.ask("description, nothing acceptable", method, "/openapi.json", 406, {"Accept": "text/html"})
    description = json.loads(lint.ask("description", "GET", "/openapi.json", 200).body)
    for slug in description["components"]["schemas"]["ProblemSlug"]["enum"]:
        for accept in ("application/json", "text/html"):
            lint.ask(f"problem, {accept}", "GET", f"/problems/{slug}", 200, {"Accept": accept})
    page = "/problems/no-such-path"
    got = lint.ask("problem", "HEAD", page, 200)
    lint.ask("problem, known", "GET", page, 304, {"If-None-Match": got.fields.get("etag", "none")})
    lint.ask("problem, nothing acceptable", "GET", page, 406, {"Accept": "image/png"})
    lint.ask("problem, unknown", "GET", "/problems/x", 404)
    for path in ("/openapi.json", page):
        lint.ask("what can be done", "OPTIONS", path, 204)
        lint.ask("what cannot", "POST", path, 405)
    lint.ask("no such path", "GET", "/", 404)
    for path in ("/docs", "/health", "/ready"):
        lint.ask("by the host", "GET", path, 200)
        lint.ask("by the host", "HEAD", path, 200)
        lint.ask("by the host, another method", "POST", path, 405)
    lint.ask("by the host, known", "GET", "/docs", 304, {"If-None-Match": "*"})


def refused_by_the_host(lint):
    """Requests that never reach the component."""
    host = "Host: {}:{}\r\n".format(*lint.address).encode()
    lint.ask("too large a body, announced", "POST", ORDERS, 413, JSON | {"Content-Length": "1048577"})
    lint.ask("too long a target", "GET", f"{ORDERS}?customer={'x' * 40_000}", 414)
    lint.ask("too large a head", "GET", ORDERS, 431, {"X-Large": "x" * 40_000})
    lint.ask("no Host", "GET", ORDERS, 400, raw=b"GET /api/v1/orders HTTP/1.1\r\n\r\n")
    lint.ask("two Hosts", "GET", ORDERS, 400, raw=b"GET /api/v1/orders HTTP/1.1\r\n" + host + host + b"\r\n")
    chunks = b"POST /api/v1/orders HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nx\r\n"
    lint.ask("a body framed wrongly", "POST", ORDERS, 400, raw=chunks)
    lint.ask("not HTTP", "GET", "/", 400, raw=b"GET / HTTP/1.1\r\nno field\r\n\r\n")


def main():
    lint = Linter(sys.argv[1], *(sys.argv[2:] or ["orders-host"]))
    orders(lint)
    service(lint)
    refused_by_the_host(lint)
    for what in {*EXPECTED[lint.host], *NOT_THE_COMPONENTS.get(lint.host, ())} - lint.asked:
        lint.fault(what, "has an expectation, but was not asked")
    counts = ", ".join(f"{lint.counts[level]} {level.value}" for level in levels)
    print(f"\n{lint.exchanges} answers; notes: {counts}")
    for wrong in lint.wrong:
        print(f"wrong: {wrong}")
    return 1 if lint.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

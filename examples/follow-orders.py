"""Prints each new order once, as JSON lines: follow-orders.py URL OVERLAP [SINCE], with OVERLAP in seconds."""
import json, sys, time
from datetime import datetime, timedelta, timezone
from http.client import HTTPException
from urllib.parse import urlencode
from urllib.request import urlopen

def time_of(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))

url, overlap = sys.argv[1] + "/api/v1/orders?", timedelta(seconds=float(sys.argv[2]))
since = time_of(sys.argv[3]) if len(sys.argv) > 3 else datetime.now(timezone.utc) - overlap
seen = {}  # orders that were created after `since`: the time of each id

def page(query):
    while True:
        try:
            with urlopen(url + urlencode(query), timeout=30) as response:
                return json.load(response)
        except (OSError, HTTPException) as error:  # no connection, 503, …
            if 400 <= getattr(error, "code", 503) < 500:
                raise
            print(error, file=sys.stderr)
            time.sleep(1)

def new_orders():
    """One round: lists all orders since `since`, oldest first, and returns those that are new."""
    global since
    started, query = time.monotonic(), {"sort": "created_at", "limit": 100, "created_after": since.isoformat()}
    while "cursor" not in query or query["cursor"]:
        answer = page(query)
        for order in answer["items"]:
            created = time_of(order["created_at"])
            if order["id"] not in seen:
                seen[order["id"]] = created
                yield order
            # What became visible during this round is listed by the next one.
            took = timedelta(seconds=time.monotonic() - started)
            since = max(since, created - overlap - took)
        for id in [id for id, created in seen.items() if created <= since]:
            del seen[id]
        query["cursor"] = answer.get("next_cursor")

while True:
    for order in new_orders():
        print(json.dumps(order), flush=True)
    time.sleep(0.5)

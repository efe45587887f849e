"""Schemathesis hooks: rules of the orders service that an OpenAPI description cannot express.

fuzz.py makes Schemathesis load this file. Each exception states its reason.
"""

import itertools
import json
import os
import re
import uuid

import requests
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.generation.meta import CoveragePhaseData, StatefulPhaseData
from schemathesis.openapi.checks import RejectedPositiveData

ORDERS = os.environ["ORDERS_URL"] + "/api/v1/orders"
ORDER = {"customer": "ada", "currency": "EUR", "items": [{"sku": "tea-1", "quantity": 2, "unit_price": 450}]}

# The steps that a new order must go through before the operation applies to it.
STEPS_BEFORE = {
    "getOrder": [],
    "listOrderEvents": ["confirm", "ship", "deliver"],
    "updateOrder": [],
    "confirmOrder": [],
    "shipOrder": ["confirm"],
    "deliverOrder": ["confirm", "ship"],
    "cancelOrder": [],
}

# The formats that the service accepts. The description contains them too.
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KEY = re.compile(r'[!#-~][!-~]{0,254}|"([ !#-\[\]-~]|\\["\\]){1,255}"( *;[ -~]*)?')

# A text needs a visible character. The description names those that are not, but for these: a regular expression of JavaScript has
# no range of them.
BEYOND_BMP = re.compile("[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]")

service = requests.Session()
known_orders = set()
requests_made = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Replaces well-formed values that would make the service reject the request before it checks the rest."""
    phase = case.meta.phase.data if case.meta else None
    # Every tenth id stays unchanged, except in the stateful phase, which repeats requests and aborts if the results differ.
    if isinstance(phase, StatefulPhaseData) or next(requests_made) % 10 != 0:
        use_existing_order(case)
    use_fresh_key(case)
    use_visible_text(case)
    # The coverage phase generates alphanumeric header values and considers them valid. For If-Match none of them is.
    if isinstance(phase, CoveragePhaseData) and phase.parameter != "If-Match":
        if str(case.headers.get("If-Match", "")).isalnum():
            case.headers["If-Match"] = "*"


@schemathesis.hook
def after_call(context, case, response):
    """Records the orders that the stateful phase creates. It advances them itself, through the links."""
    if response.status_code == 201:
        known_orders.add(json.loads(response.content)["id"])


def use_existing_order(case):
    """Replaces the id of an order that does not exist with the id of a new order."""
    steps, order = STEPS_BEFORE.get(case.operation.definition.raw.get("operationId")), case.path_parameters.get("id")
    if steps is None or order in known_orders or not ID.fullmatch(str(order)):
        return
    order = service.post(ORDERS, json=ORDER).json()["id"]
    for step in steps:
        service.post(f"{ORDERS}/{order}/{step}").raise_for_status()
    case.path_parameters["id"] = order
    # The description's example for If-Match is the first version of an order.
    if case.headers.get("If-Match") == '"1-2"':
        case.headers["If-Match"] = f'"{len(steps) + 1}-2"'


def use_fresh_key(case):
    """Makes an idempotency key unique: the service rejects a used key with a different body."""
    key = case.headers.get("Idempotency-Key")
    if not isinstance(key, str) or not KEY.fullmatch(key):
        return
    quote, rest = ('"', key[1:]) if key.startswith('"') else ("", key)
    unique = str(uuid.uuid4())
    # A long key keeps its length, unless that could split an escape sequence.
    if len(rest) > 200 and "\\" not in rest:
        rest = rest[len(unique) :]
    if len(rest) <= 220:
        case.headers["Idempotency-Key"] = quote + unique + rest


def use_visible_text(case):
    """Replaces characters that are invisible, which the description cannot say."""
    body = case.body if isinstance(case.body, dict) else {}
    for name in ("customer", "tracking", "reason"):
        if isinstance(body.get(name), str):
            body[name] = BEYOND_BMP.sub("x", body[name])


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops failures that only report a failed precondition.

    A well-formed precondition can fail, which means neither that the data was accepted nor that it was rejected. The
    service checks the precondition before the body, so a 412 can also precede the rejection of an invalid body.
    """
    about_validity = isinstance(failure, (RejectedPositiveData, AcceptedNegativeData))
    precondition_failed = problem_type(response) == "/problems/precondition-failed"
    return not (about_validity and response.status_code == 412 and precondition_failed)


def problem_type(response):
    """Returns the type of a problem document, or None for any other body."""
    try:
        return json.loads(response.content)["type"]
    except (ValueError, KeyError, TypeError):
        return None

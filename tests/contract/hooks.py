"""What an OpenAPI description cannot say about the orders service, and where Schemathesis needs help.

Schemathesis loads this file, through fuzz.py. Each exception has its reason beside it.
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

# What has to be done with a new order before the operation makes sense.
BEFORE = {
    "getOrder": [],
    "headOrder": [],
    "listOrderEvents": ["confirm", "ship", "deliver"],
    "headOrderEvents": ["confirm"],
    "updateOrder": [],
    "confirmOrder": [],
    "shipOrder": ["confirm"],
    "deliverOrder": ["confirm", "ship"],
    "cancelOrder": [],
}

# The forms that the service takes; the description has them too.
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KEY = re.compile(r'[!#-~][!-~]{0,254}|"([ !#-\[\]-~]|\\["\\]){1,255}"')

service = requests.Session()
known_orders = set()
requests_made = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Replaces values of the right form that would keep the rest of a request from being judged."""
    phase = case.meta.phase.data if case.meta else None
    # Every tenth id stays; but the stateful phase repeats itself, and ends when that goes another way.
    if isinstance(phase, StatefulPhaseData) or next(requests_made) % 10 != 0:
        use_an_order(case)
    use_a_fresh_key(case)
    # The coverage phase makes header values of letters and digits only, and takes them for valid. No If-Match is.
    if isinstance(phase, CoveragePhaseData) and phase.parameter != "If-Match":
        if str(case.headers.get("If-Match", "")).isalnum():
            case.headers["If-Match"] = "*"


@schemathesis.hook
def after_call(context, case, response):
    """Notes the orders that the stateful phase makes: it leads them on itself, through the links."""
    if response.status_code == 201:
        known_orders.add(json.loads(response.content)["id"])


def use_an_order(case):
    """Puts an order that exists in the place of one that does not."""
    steps, order = BEFORE.get(case.operation.definition.raw.get("operationId")), case.path_parameters.get("id")
    if steps is None or order in known_orders or not ID.fullmatch(str(order)):
        return
    order = service.post(ORDERS, json=ORDER).json()["id"]
    for step in steps:
        service.post(f"{ORDERS}/{order}/{step}").raise_for_status()
    case.path_parameters["id"] = order
    # The example of If-Match is the first version.
    if case.headers.get("If-Match") == '"1"':
        case.headers["If-Match"] = f'"{len(steps) + 1}"'


def use_a_fresh_key(case):
    """Makes a key unique: one that has come before would have any other body refused."""
    key = case.headers.get("Idempotency-Key")
    if not isinstance(key, str) or not KEY.fullmatch(key):
        return
    quote, rest = ('"', key[1:]) if key.startswith('"') else ("", key)
    unique = str(uuid.uuid4())
    # A long key keeps its length, unless that would cut through an escape.
    if len(rest) > 200 and "\\" not in rest:
        rest = rest[len(unique) :]
    if len(rest) <= 220:
        case.headers["Idempotency-Key"] = quote + unique + rest


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops a failure that only says that a precondition did not hold.

    It can be of the right form and still not hold: that is neither success nor a refusal of what was sent. As it is
    checked before the body, it also comes before what is wrong with that.
    """
    judged = isinstance(failure, (RejectedPositiveData, AcceptedNegativeData))
    return not (judged and response.status_code == 412 and problem_type(response) == "/problems/precondition-failed")


def problem_type(response):
    """The type of a problem document, if it is one."""
    try:
        return json.loads(response.content)["type"]
    except (ValueError, KeyError, TypeError):
        return None

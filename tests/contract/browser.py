"""Tests the API explorer in a real browser.

    python tests/contract/browser.py http://127.0.0.1:8080 screenshot.png

Opens the address of the service, which must lead to /docs, and does what a visitor would do: creates an order with the
example in the form, then reads and confirms it with the id that the forms already contain. The page must show no method
twice, follow the system's theme, fit a phone, comply with its own security policy and load nothing from other origins.
Prints one line. The exit code is 1 if a check fails.

Needs Chromium and its driver (Debian: chromium, chromium-driver) and selenium.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as shows
from selenium.webdriver.support.ui import WebDriverWait

# Timeout for one step, far longer than any step needs.
TIMEOUT_SECONDS = 30
ORDERS = "/api/v1/orders"
ORDER = ORDERS + "/{id}"
PHONE_WIDTH = 390  # of the narrowest phones that are in wide use
# Between a text and its background. WCAG 2.2 demands 4.5 (1.4.3), which Swagger UI's own colours do not always reach.
MIN_CONTRAST = 3
# The console does not report violations in workers and frames; this event does.
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


# The texts whose contrast is lower than the argument, each with its contrast, as WCAG 2.2 defines it.
FAINT_TEXTS = """
const parse = (color) => color.match(/[\\d.]+/g).map(Number);
const blend = ([r, g, b, a = 1], below) => [r, g, b].map((part, i) => part * a + below[i] * (1 - a));
const backdrop = (element) => element
  ? blend(parse(getComputedStyle(element).backgroundColor), backdrop(element.parentElement)) : [255, 255, 255];
const linear = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const faint = [];
const texts = document.createTreeWalker(document.querySelector("#explorer"), NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const [text, element] = [texts.currentNode.textContent.trim(), texts.currentNode.parentElement];
  if (!text || !element.checkVisibility({visibilityProperty: true})) continue;
  const below = backdrop(element);
  const pair = [below, blend(parse(getComputedStyle(element).color), below)].map(luminance).sort((a, b) => b - a);
  const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (contrast < arguments[0]) faint.push(`${text.slice(0, 40)}: ${contrast.toFixed(1)}`);
}
return faint;
"""

# The classes of the elements that end to the right of the argument.
WIDE_ELEMENTS = """
return [...document.querySelectorAll("#explorer *")]
  .filter((element) => element.getBoundingClientRect().right > arguments[0]).map((element) => element.className);
"""


class CheckFailed(Exception):
    """A check has failed."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("origin", help="origin of the service, for example http://127.0.0.1:8080")
    parser.add_argument("screenshot", help="file for a screenshot; two more, of a dark page and of a phone, are beside it")
    arguments = parser.parse_args()
    try:
        browser = start_browser()
        try:
            summary = check_explorer(browser, arguments.origin.rstrip("/"), arguments.screenshot)
        finally:
            browser.quit()
    except (CheckFailed, WebDriverException) as error:
        print(f"browser: {error}", file=sys.stderr)
        return 1
    print(summary)
    return 0


def start_browser():
    """Starts a headless browser. The browser and its driver must be installed: nothing is downloaded."""
    options = Options()
    options.binary_location = find_program("chromium")
    # A container has no unprivileged user for the sandbox, no graphics card, and little shared memory.
    for option in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1280,2000"):
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(find_program("chromedriver")))
    browser.set_page_load_timeout(TIMEOUT_SECONDS)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})
    return browser


def find_program(program):
    path = shutil.which(program)
    if path is None:
        raise CheckFailed(f"{program} is missing; `./dev test` installs it on Debian and Ubuntu")
    return path


def check_explorer(browser, origin, screenshot):
    browser.get(origin)
    if browser.current_url != f"{origin}/docs":
        raise CheckFailed(f"{origin} leads to {browser.current_url}, not to /docs")
    try:
        # The new id must replace one that the visitor has typed, and be in forms that are opened later.
        open_operation(browser, "get", ORDER)
        id_field(browser, "get", ORDER).send_keys("typed")
        order = create_order(browser)
        check_example_id(browser, "get", ORDER, order)
        execute(browser, "get", ORDER, "200")
        open_operation(browser, "post", f"{ORDER}/confirm")
        check_example_id(browser, "post", f"{ORDER}/confirm", order)
        execute(browser, "post", f"{ORDER}/confirm", "200")
        check_methods(browser)
    finally:
        browser.save_screenshot(screenshot)
    show_everything(browser)
    check_themes(browser, screenshot)
    check_width(browser, screenshot)
    count = check_origins(browser, origin)
    check_console(browser)
    return (
        f"browser: / leads to /docs, which created order {order}, read and confirmed it; light and dark like the system; "
        f"fits {PHONE_WIDTH} px; {count} resources, all from the service; no policy violations; screenshots beside {screenshot}"
    )


def operation(method, path):
    """The XPath of an operation."""
    return f"//*[contains(@class, 'opblock-{method}')][.//*[@data-path='{path}']]"


def open_operation(browser, method, path):
    shown = shows.visibility_of_element_located((By.XPATH, operation(method, path)))
    head = wait(browser, f"{method} {path} to show", shown)
    head.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
    # If the explorer cannot resolve a parameter, it shows the parameter without a name.
    names = (By.XPATH, f"{operation(method, path)}//*[contains(@class, 'parameter__name')]")
    shown = [name.text for name in wait(browser, "the parameters", shows.visibility_of_all_elements_located(names))]
    if not all(shown):
        raise CheckFailed(f"a parameter has no name: {shown}")


def create_order(browser):
    """Creates an order as a visitor would, and returns its id, which the page shows."""
    open_operation(browser, "post", ORDERS)
    body = execute(browser, "post", ORDERS, "201")
    try:
        return json.loads(body)["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckFailed(f"the page does not show an order, but {body!r}") from error


def execute(browser, method, path, expected):
    """Executes an open operation, and returns the body of the response as the page shows it."""
    button = (By.XPATH, f"{operation(method, path)}//button[contains(@class, 'execute')]")
    wait(browser, "the Execute button", shows.element_to_be_clickable(button)).click()
    response = f"{operation(method, path)}//*[contains(@class, 'live-responses-table')]//tbody/tr[contains(@class, 'response')]"
    status = (By.XPATH, f"{response}/td[contains(@class, 'response-col_status')]")
    shown = wait(browser, "the response", shows.visibility_of_element_located(status))
    # The screenshot must show the response.
    browser.execute_script("arguments[0].scrollIntoView({block: 'end'})", browser.find_element(By.XPATH, response))
    if shown.text.split()[:1] != [expected]:
        body = browser.find_element(By.XPATH, response).text
        raise CheckFailed(f"{method} {path}: the status is {shown.text or 'empty'}, not {expected}: {body}")
    return wait(browser, "the body", shows.visibility_of_element_located((By.XPATH, f"{response}//pre"))).text


def id_field(browser, method, path):
    field = (By.XPATH, f"{operation(method, path)}//tr[@data-param-in='path']//input")
    return wait(browser, f"the field for the id in the form of {method} {path}", shows.visibility_of_element_located(field))


def check_example_id(browser, method, path, order):
    """Checks that the form contains the id of the order that was created."""
    what = f"the id of the new order in the form of {method} {path}"
    wait(browser, what, lambda page: id_field(page, method, path).get_attribute("value") == order)


def check_methods(browser):
    """Checks that HEAD and OPTIONS, which every path has, do not double the list."""
    methods = {method.text for method in browser.find_elements(By.CLASS_NAME, "opblock-summary-method")} - {""}
    if methods != {"GET", "POST", "PATCH"}:
        raise CheckFailed(f"the page shows the methods {sorted(methods)}, not GET, PATCH and POST")


def show_everything(browser):
    """Opens what is folded, so that the checks of colours and width see it."""
    for selector in (".folded-response", ".models-control[aria-expanded='false']"):
        folded = browser.find_elements(By.CSS_SELECTOR, selector)
        if not folded:
            raise CheckFailed(f"nothing is folded: there is no {selector}")
        for element in folded:
            browser.execute_script("arguments[0].click()", element)


def check_themes(browser, screenshot):
    """Checks that the page follows the system's theme while it is open, and that its texts are legible."""
    for theme, background in (("dark", "rgb(28, 32, 34)"), ("light", "rgb(250, 250, 250)")):
        emulated = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)
        has_background = "return getComputedStyle(document.documentElement).backgroundColor === arguments[0]"
        wait(browser, f"a {theme} page", lambda page: page.execute_script(has_background, background))
        if theme == "dark":
            browser.save_screenshot(beside(screenshot, theme))
            # Swagger UI's light theme has a few faint texts of its own.
            if faint := browser.execute_script(FAINT_TEXTS, MIN_CONTRAST):
                raise CheckFailed(f"texts on the {theme} page have a contrast below {MIN_CONTRAST}: {faint[:20]}")


def check_width(browser, screenshot):
    phone = {"width": PHONE_WIDTH, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.save_screenshot(beside(screenshot, "phone"))
    width = browser.execute_script("return document.documentElement.scrollWidth")
    if width > PHONE_WIDTH:
        wide = browser.execute_script(WIDE_ELEMENTS, PHONE_WIDTH)
        raise CheckFailed(f"the page is {width} px wide on a phone of {PHONE_WIDTH} px: {wide[:10]}")


def beside(screenshot, name):
    """The file for another screenshot: docs.png, docs-dark.png."""
    path = Path(screenshot)
    return str(path.with_name(f"{path.stem}-{name}{path.suffix}"))


def wait(browser, what, condition):
    try:
        return WebDriverWait(browser, TIMEOUT_SECONDS).until(condition)
    except TimeoutException as error:
        page = browser.find_element(By.TAG_NAME, "body").text
        raise CheckFailed(f"timed out after {TIMEOUT_SECONDS} s waiting for {what}; the page shows {page[:500]!r}") from error


def check_origins(browser, origin):
    """Checks that every resource comes from the page's own origin, and returns the number of resources."""
    script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    loaded = browser.execute_script(script)
    foreign = [url for url in loaded if urlsplit(url)[:2] != urlsplit(origin)[:2] and not url.startswith("data:")]
    if foreign:
        raise CheckFailed(f"the page loaded resources from other origins: {foreign}")
    if not loaded:
        raise CheckFailed("the browser does not report which resources it loaded")
    return len(loaded)


def check_console(browser):
    violations = browser.execute_script("return window.violations")
    if violations:
        raise CheckFailed(f"the page violates its security policy: {violations}")
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
    if errors:
        raise CheckFailed(f"the browser console has warnings or errors: {errors}")


if __name__ == "__main__":
    sys.exit(main())

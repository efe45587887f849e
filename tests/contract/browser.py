"""Tests the API explorer in a real browser.

    python tests/contract/browser.py http://127.0.0.1:8080 screenshot.png

Opens /docs, opens the operation POST /api/v1/orders, executes it with the example in the form, and checks that the page
shows 201 and the order. The page must comply with its own security policy and load nothing from other origins. Prints
one line. The exit code is 1 if a check fails.

Needs Chromium and its driver (Debian: chromium, chromium-driver) and selenium.
"""

import argparse
import json
import shutil
import sys
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
PATH = "/api/v1/orders"
OPERATION = f"//*[contains(@class, 'opblock-post')][.//*[@data-path='{PATH}']]"
# The console does not report violations in workers and frames; this event does.
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class CheckFailed(Exception):
    """A check has failed."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("origin", help="origin of the service, for example http://127.0.0.1:8080")
    parser.add_argument("screenshot", help="file for a screenshot of the page with the response")
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
    browser.get(f"{origin}/docs")
    try:
        order = create_order(browser)
    finally:
        browser.save_screenshot(screenshot)
    count = check_origins(browser, origin)
    check_console(browser)
    return (
        f"browser: /docs created order {order} with status 201; {count} resources, all from the service; "
        f"no policy violations; screenshot in {screenshot}"
    )


def create_order(browser):
    """Executes the operation as a visitor would, and returns the id of the order that the page shows."""
    operation = wait(browser, f"POST {PATH} to show", shows.visibility_of_element_located((By.XPATH, OPERATION)))
    operation.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
    # If the explorer cannot resolve a parameter, it shows the parameter without a name.
    names = (By.XPATH, f"{OPERATION}//*[contains(@class, 'parameter__name')]")
    shown = [name.text for name in wait(browser, "the parameters", shows.visibility_of_all_elements_located(names))]
    if not all(shown):
        raise CheckFailed(f"a parameter has no name: {shown}")
    execute = (By.XPATH, f"{OPERATION}//button[contains(@class, 'execute')]")
    wait(browser, "the Execute button", shows.element_to_be_clickable(execute)).click()

    response = f"{OPERATION}//*[contains(@class, 'live-responses-table')]//tbody/tr[contains(@class, 'response')]"
    status = (By.XPATH, f"{response}/td[contains(@class, 'response-col_status')]")
    shown = wait(browser, "the response", shows.visibility_of_element_located(status))
    # The screenshot must show the response.
    browser.execute_script("arguments[0].scrollIntoView({block: 'end'})", browser.find_element(By.XPATH, response))
    if shown.text.split()[:1] != ["201"]:
        body = browser.find_element(By.XPATH, response).text
        raise CheckFailed(f"the status is {shown.text or 'empty'}, not 201: {body}")
    body = wait(browser, "the order", shows.visibility_of_element_located((By.XPATH, f"{response}//pre"))).text
    try:
        return json.loads(body)["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckFailed(f"the page does not show an order, but {body!r}") from error


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

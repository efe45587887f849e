"""The API explorer in a real browser.

    python tests/contract/browser.py http://127.0.0.1:8080 screenshot.png

Opens /docs, opens the operation POST /api/v1/orders, executes it with the example that the form is filled with,
and checks that the page shows 201 and the order. The page must keep to its own security policy, and load
nothing from elsewhere. Prints one line; the exit code is 1 if something is not as it should be.

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

# Seconds that one step may take: far above what any needs.
PATIENCE = 30
PATH = "/api/v1/orders"
OPERATION = f"//*[contains(@class, 'opblock-post')][.//*[@data-path='{PATH}']]"
# The console leaves out what happens in a worker or a frame; the event does not.
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class Wrong(Exception):
    """Something is not as it should be."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("origin", help="where the service is: http://127.0.0.1:8080")
    parser.add_argument("screenshot", help="the file to save a picture of the answered page to")
    arguments = parser.parse_args()
    try:
        browser = start()
        try:
            summary = check(browser, arguments.origin.rstrip("/"), arguments.screenshot)
        finally:
            browser.quit()
    except (Wrong, WebDriverException) as error:
        print(f"browser: {error}", file=sys.stderr)
        return 1
    print(summary)
    return 0


def start():
    """A browser without a window. Both programs are the system's: nothing is downloaded."""
    options = Options()
    options.binary_location = installed("chromium")
    # In a container there is no user to sandbox for, no graphics card and little shared memory.
    for option in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1280,2000"):
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(installed("chromedriver")))
    browser.set_page_load_timeout(PATIENCE)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})
    return browser


def installed(program):
    path = shutil.which(program)
    if path is None:
        raise Wrong(f"{program} is not installed (Debian: apt-get install chromium chromium-driver)")
    return path


def check(browser, origin, screenshot):
    browser.get(f"{origin}/docs")
    try:
        order = create(browser)
    finally:
        browser.save_screenshot(screenshot)
    loaded = check_origins(browser, origin)
    check_console(browser)
    return f"browser: /docs created order {order}: 201; {loaded} resources, all of them ours; no violation; {screenshot}"


def create(browser):
    """Executes the operation as a visitor would; gives the id of the order that the page shows."""
    operation = wait(browser, f"POST {PATH} to show", shows.visibility_of_element_located((By.XPATH, OPERATION)))
    operation.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
    # The explorer shows a parameter that it cannot resolve without a name.
    names = (By.XPATH, f"{OPERATION}//*[contains(@class, 'parameter__name')]")
    shown = [name.text for name in wait(browser, "the parameters", shows.visibility_of_all_elements_located(names))]
    if not all(shown):
        raise Wrong(f"a parameter has no name: {shown}")
    execute = (By.XPATH, f"{OPERATION}//button[contains(@class, 'execute')]")
    wait(browser, "the button to execute it", shows.element_to_be_clickable(execute)).click()

    answer = f"{OPERATION}//*[contains(@class, 'live-responses-table')]//tbody/tr[contains(@class, 'response')]"
    status = (By.XPATH, f"{answer}/td[contains(@class, 'response-col_status')]")
    shown = wait(browser, "the answer", shows.visibility_of_element_located(status))
    # For the picture.
    browser.execute_script("arguments[0].scrollIntoView({block: 'end'})", browser.find_element(By.XPATH, answer))
    if shown.text.split()[:1] != ["201"]:
        body = browser.find_element(By.XPATH, answer).text
        raise Wrong(f"the answer is {shown.text or 'empty'}, not 201: {body}")
    body = wait(browser, "the order", shows.visibility_of_element_located((By.XPATH, f"{answer}//pre"))).text
    try:
        return json.loads(body)["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(f"the page does not show an order, but {body!r}") from error


def wait(browser, what, condition):
    try:
        return WebDriverWait(browser, PATIENCE).until(condition)
    except TimeoutException as error:
        page = browser.find_element(By.TAG_NAME, "body").text
        raise Wrong(f"waited {PATIENCE} s for {what}; the page says {page[:500]!r}") from error


def check_origins(browser, origin):
    """Everything comes from where the page does; gives how many things that were."""
    script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    loaded = browser.execute_script(script)
    elsewhere = [url for url in loaded if urlsplit(url)[:2] != urlsplit(origin)[:2] and not url.startswith("data:")]
    if elsewhere:
        raise Wrong(f"loaded from elsewhere: {elsewhere}")
    if not loaded:
        raise Wrong("the browser does not say what it has loaded")
    return len(loaded)


def check_console(browser):
    violations = browser.execute_script("return window.violations")
    if violations:
        raise Wrong(f"against the security policy: {violations}")
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
    if errors:
        raise Wrong(f"the browser complains: {errors}")


if __name__ == "__main__":
    sys.exit(main())

"""A headless Chromium, driven over WebDriver."""

import shutil
from pathlib import Path

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # No name but that of this machine leads anywhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1200,1000",
)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SCRIPT_SECONDS = 60


def missing() -> str | None:
    """What is not there of all that a browser needs, as a reason to go without; None if all is."""
    if not shutil.which("chromedriver") or not any(map(shutil.which, _BROWSERS)):
        return "needs chromium and chromedriver, see BUILD.md"
    try:
        import selenium.webdriver  # noqa: F401
    except ImportError:
        return "needs the package selenium"
    return None


def start(profile: Path):
    """A `selenium.webdriver.Chrome`, to be ended by `quit()`.

    Args:
        profile: Path of a new folder for what the browser writes.
    """
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, _BROWSERS)))
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    browser.set_script_timeout(_SCRIPT_SECONDS)
    return browser


def call(browser, expression: str, *arguments):
    """The value of a JavaScript expression of `args`, waited for if it is a promise."""
    script = (
        "const args = Array.from(arguments), done = args.pop();"
        f"(async () => ({expression}))().then((value) => done({{value}}),"
        " (error) => done({error: String(error)}))"
    )
    answer = browser.execute_async_script(script, *arguments)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer.get("value")

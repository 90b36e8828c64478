"""A real browser: Debian's chromium, by its own driver."""

from __future__ import annotations

import shutil

import pytest

HOW = "apt-get install chromium chromium-driver; pip install rucio-cs3[test-browser]"


def open_browser(folder):
    """A selenium driver, which has to be told to quit."""
    webdriver = pytest.importorskip("selenium.webdriver", reason=HOW)
    program, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not program or not driver:
        pytest.skip(f"no chromium: {HOW}")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.accept_insecure_certs = True
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in (
        "--headless=new",
        "--no-sandbox",  # root has none
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        "--force-device-scale-factor=1",
        f"--user-data-dir={folder}",
    ):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))

"""The status page, as somebody sees it in a browser."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import pytest

from tests.unit.mover.browser import open_browser
from tests.unit.mover.conftest import file, wait_for
from tests.unit.mover.test_callers import pki, secured  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow
CHUNK = 1 << 16
EVIL = "<img/src=x/onerror=document.title='broken'>"
SPACED_EVIL = "<img src=x onerror=\"document.title='broken'\">"
SIZES = {"wide": (1280, 900), "narrow": (390, 1700)}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = open_browser(tmp_path_factory.mktemp("browser"))
    yield driver
    driver.quit()


class Page:
    def __init__(self, driver, mover):
        self._driver = driver
        self.mover = mover

    def open(self, place="/fts3/ftsmon/"):
        """A change of what follows # alone would not load anything."""
        self._driver.get("about:blank")
        self.log()
        self._driver.get(f"{self.mover.url}{place}")

    def run(self, script, *arguments):
        return self._driver.execute_script(f"return {script}", *arguments)

    def text(self, where="body"):
        """What is to be seen there."""
        return self.run(
            "[...document.querySelectorAll(arguments[0])].find((e) => e.checkVisibility())?.innerText ?? ''", where
        )

    def shows(self, *words, where="body"):
        """The text, once all of these are in it."""
        return wait_for(lambda: (text := self.text(where)) and all(word in text for word in words) and text)

    def click(self, where):
        self._driver.find_element("css selector", where).click()

    def log(self):
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def complaints(self):
        return [line for line in self.log() if "Content Security Policy" in line or "Uncaught" in line]

    def look(self, dark=False, size="wide"):
        width, height = SIZES[size]
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "narrow"}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def picture(self, name):
        """For people, where RUCIO_CS3_TEST_PICTURES says."""
        folder = os.environ.get("RUCIO_CS3_TEST_PICTURES")
        if folder:
            self._driver.save_screenshot(str(Path(folder, f"{name}.png")))


@pytest.fixture
def page(driver, mover):
    page = Page(driver, mover)
    page.look()
    yield page
    driver.get("about:blank")  # nobody asks a mover that has gone


@pytest.fixture
def busy(mover, root, put):
    """A copy that is half done, one that waits for a banned site, one that failed, one that is there."""
    put("davs://a.example/x", b"x" * 4 * CHUNK)
    mover.ended(mover.submit(file("davs://a.example/x", "davs://c.example/there")))
    mover.ended(mover.submit(file("davs://a.example/none", "davs://b.example/failed")))
    mover.ask("POST", "/ban/se", json={"storage": "down.example", "message": SPACED_EVIL})
    mover.submit(file("davs://a.example/x", "davs://down.example/waits"))
    (root / "hold").write_text(str(2 * CHUNK))
    job = mover.submit(file("davs://a.example/x", f"davs://b.example/d/{EVIL}", filesize=4 * CHUNK))
    wait_for(lambda: mover.job(job, "transferred")["files"][0]["transferred"] == 2 * CHUNK)
    return job


def test_everything_at_once(page, busy, root):
    page.open()
    page.shows("50 % of 256.0 KiB", where="#running")
    page.shows("a.example → b.example", "a.example → down.example", where="#links")
    page.shows("No such file or directory: davs://a.example/none", where="#failures")
    page.shows("ACTIVE", "1", where="#states")
    assert page.run("document.querySelector('#plot .curve').getTotalLength()") > 100
    assert re.fullmatch(r".*B/s now, .*B/s at most, 256.0 KiB copied", page.text("#rate"))
    assert page.run("document.querySelector('#failures td.file').clientWidth") > 150
    assert page.run("[...document.querySelectorAll('#states td, #links td')].every((td) => td.innerText !== '0')")
    (root / "hold").write_text(str(3 * CHUNK))
    page.shows("75 %", where="#running")
    (root / "hold").unlink()
    page.shows("None.", where="#no-running")
    assert page.complaints() == []


def test_rows_stay_where_they_are(page, busy, root):
    """Who has the focus in one keeps it, and nothing flickers."""
    page.open()
    page.shows("50 %", where="#running")
    page.run("(window.kept = document.querySelector('#running tr'), kept.querySelector('a').focus())")
    (root / "hold").write_text(str(3 * CHUNK))
    page.shows("75 %", where="#running")
    assert page.run("kept === document.querySelector('#running tr')")
    assert page.run("kept.contains(document.activeElement)")


def test_rucio_s_link_opens_the_job(page, busy, root):
    page.open(f"/fts3/ftsmon/#/job/{busy}")
    page.shows(busy, "ACTIVE", "50 % of 256.0 KiB", "from davs://a.example/x", where="#job")
    assert page.text("#overview") == ""
    (root / "hold").unlink()
    page.shows("FINISHED", where="#facts")
    page.click("#job a[href='#/']")
    page.shows("Throughput", where="#overview")
    page.click("#failures a")
    page.shows("FAILED", "SOURCE [2] No such file", where="#files")
    assert page.run("document.activeElement.localName") == "h2"
    assert page.complaints() == []


def test_until_the_first_answer_it_says_that_it_asks(page, driver):
    for urls, shown in ((["*status.json*"], "Asking the mover"), ([], "Nothing waits")):
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": urls})
        page.open()
        page.shows(shown)
    assert page.text("#loading") == ""


def test_an_unknown_job(page, mover):
    page.open("/fts3/ftsmon/#/job/there-is-none")
    page.shows("knows no such job", where="#job")


def test_what_comes_from_a_job_is_text(page, busy):
    page.open()
    page.shows(EVIL.rpartition("/")[2], where="#running")
    page.shows(SPACED_EVIL, where="#bans")
    page.open(f"/fts3/ftsmon/#/job/{busy}")
    page.shows(EVIL, where="#files")
    assert page.run("document.images.length") == 0
    assert "broken" not in page.run("document.title")
    assert page.complaints() == []


def test_the_policy_is_in_force(page):
    """Else its silence would say nothing."""
    page.open()
    page.shows("Nothing waits")
    page.run("document.body.append(Object.assign(new Image(), {src: '/x.png'}))")
    wait_for(page.complaints)
    with contextlib.suppress(Exception):  # it is refused
        page.run("(document.body.innerHTML = '<b>broken</b>')")
    assert page.text("h1") == "Mover"


def test_a_mover_that_goes_away_and_comes_back(page, start, settings, mover):
    page.open()
    page.shows("Nothing waits")
    mover.kill()
    page.shows("does not answer", where="#news")
    assert "Nothing waits" in page.text()
    start({**settings, "listen": mover.url.rpartition("/")[2]})
    wait_for(lambda: page.text("#news") == "")


def test_pause(page, mover):
    """Then it looks once more, and no time is set for another look."""
    looks = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('status.json')).length"
    page.open()
    page.shows("Nothing waits")
    before = page.run(looks)
    page.run("(window.timers = [], window.setTimeout = (look) => timers.push(look))")
    page.run("(timers.length = 0, document.querySelector('#pause').click())")
    assert page.run("document.querySelector('#pause').ariaPressed") == "true"
    wait_for(lambda: page.run(looks) > before)
    mover.ended(mover.submit(file("davs://a.example/none", "davs://b.example/failed")))
    assert page.run("timers.length") == 0
    page.click("#pause")
    page.shows("davs://a.example/none", where="#failures")
    wait_for(lambda: page.run("timers.length") == 1)


def test_somebody_whom_the_mover_does_not_know(driver, start, secured):  # noqa: F811
    page = Page(driver, start(secured))
    page.open()
    page.shows("Who are you?", "client certificate", f"--url {page.mover.url} --bearer-file", where="#stranger")
    assert page.text("#overview") == ""
    page.picture("stranger")
    driver.get("about:blank")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits(page, busy, size, dark):
    page.look(dark=dark, size=size)
    for name, place in (("all", ""), ("job", f"#/job/{busy}")):
        page.open(f"/fts3/ftsmon/{place}")
        page.shows("50 %")
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        ground, ink = (page.run(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
        assert (_light(ground) < _light(ink)) == dark
        page.picture(f"{name}-{size}-{'dark' if dark else 'light'}")


def _light(colour):
    return sum(int(part) for part in colour.partition("(")[2].strip(")").split(",")[:3])

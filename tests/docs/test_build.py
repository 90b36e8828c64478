"""The pages are built, and sphinx has nothing to complain of: no link, no docstring, no table."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.docs.blocks import TOP

pytest.importorskip("sphinx", reason="pip install rucio-cs3[docs]")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("html")
    argv = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", TOP / "docs", folder]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False, cwd=TOP)
    assert (ran.returncode, ran.stderr) == (0, "")
    return folder


@pytest.mark.timeout(660)
def test_it_is_built_without_warnings(html):
    pages = {page.stem for page in (TOP / "docs").glob("*.md")}
    assert pages <= {page.stem for page in html.glob("*.html")}


def test_every_public_name_is_in_the_reference(html):
    import rucio_cs3  # noqa: PLC0415 - in this process nothing needs it before

    there = set(re.findall(r'id="rucio_cs3\.(\w+)"', (html / "api.html").read_text(encoding="utf-8")))
    assert set(rucio_cs3.__all__) <= there


def test_the_readme_leads_to_files_that_exist():
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        for link in re.findall(r"\]\(([^)#:]+)[)#]", (TOP / name).read_text(encoding="utf-8")):
            assert (TOP / link).is_file(), f"{name}: {link}"

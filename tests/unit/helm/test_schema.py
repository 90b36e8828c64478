"""The chart knows what the programs know. None of this needs helm."""

from __future__ import annotations

import json
import re

import rucio_cs3
from rucio_cs3.config import SECRETS
from tests.unit.helm import schema


def test_the_schema_says_what_the_settings_files_take():
    assert schema.FILE.read_text(encoding="utf-8") == schema.text(), "run: python -m tests.unit.helm.schema"


def test_the_chart_is_of_this_version():
    chart = (schema.CHART / "Chart.yaml").read_text(encoding="utf-8").splitlines()
    assert {f"version: {rucio_cs3.__version__}", f'appVersion: "{rucio_cs3.__version__}"'} <= {*chart}


def test_every_secret_of_ours_is_kept_out():
    written = (schema.CHART / "templates/_settings.tpl").read_text(encoding="utf-8")
    listed = re.search(r"\$secrets := list (.*) -}}", written)[1]
    assert set(json.loads(f"[{listed.replace(' ', ',')}]")) == SECRETS | {"bearer"}

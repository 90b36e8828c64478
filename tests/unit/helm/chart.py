"""The chart as helm renders it."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.unit.helm.schema import CHART

yaml = pytest.importorskip("yaml", reason="pip install rucio-cs3[test-helm]")

HELM = os.environ.get("RUCIO_CS3_TEST_HELM") or shutil.which("helm")
VARIANTS = sorted(file.stem for file in (CHART / "ci").glob("*.yaml"))
KUBERNETES = "1.33"
NAMESPACE = "rucio"
needs_helm = pytest.mark.skipif(not HELM, reason="no helm: set RUCIO_CS3_TEST_HELM, which .ci/helm makes")


class Refused(Exception):
    """Helm says no."""


def helm(*arguments, **more):
    command = [HELM, *map(str, arguments), "--kube-version", KUBERNETES]  # one that go install made thinks of 1.20
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **more)
    if ran.returncode:
        raise Refused(ran.stderr)
    return ran.stdout


def render(variant=None, *more, values=None, release="cs3"):
    """Its documents."""
    chosen = [] if variant is None else ["--values", CHART / f"ci/{variant}.yaml"]
    given = [] if values is None else ["--values", "-"]
    text = helm(
        *("template", release, CHART, "--namespace", NAMESPACE, *chosen, *given, *more),
        input=yaml.safe_dump(values) if values else None,
    )
    return [document for document in yaml.safe_load_all(text) if document]


def one(documents, kind, name):
    found = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name]
    assert len(found) == 1, [(d["kind"], d["metadata"]["name"]) for d in documents]
    return found[0]


def pods(documents):
    """Name and specification of each."""
    for document in documents:
        if document["kind"] == "Pod":
            yield document["metadata"]["name"], document["spec"]
        elif document["kind"] == "Deployment":
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


def notes(folder, variant=None):
    """What helm says at the end of an installation, which it says of no template: so it is one, in a copy."""
    copy = shutil.copytree(CHART, folder / "chart")
    text = (CHART / "templates/NOTES.txt").read_text(encoding="utf-8")
    (copy / "templates/notes.yaml").write_text(
        f'{{{{- define "notes" }}}}{text}{{{{ end }}}}notes: {{{{ include "notes" . | toJson }}}}'
    )
    chosen = [] if variant is None else ["--values", CHART / f"ci/{variant}.yaml"]
    only = ("--show-only", "templates/notes.yaml")
    return yaml.safe_load(helm("template", "cs3", copy, "--namespace", NAMESPACE, *only, *chosen))["notes"]

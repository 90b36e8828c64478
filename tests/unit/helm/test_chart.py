"""What holds for all that the chart renders."""

from __future__ import annotations

import re

import pytest

from rucio_cs3.config import SECRETS
from tests.unit.helm.chart import CHART, VARIANTS, containers, helm, needs_helm, notes, one, pods, render

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install rucio-cs3[test-helm]")

KUBERNETES = ("1.28", "1.36")  # versions whose schemas count
NOT_KUBERNETES = {"ServiceMonitor"}  # the Prometheus operator's


@pytest.fixture(scope="module", params=VARIANTS)
def documents(request):
    return render(request.param)


@needs_helm
@pytest.mark.parametrize("variant", VARIANTS)
def test_lint_finds_nothing(variant):
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, "--values", CHART / f"ci/{variant}.yaml")


@needs_helm
def test_without_values_nothing_is_rendered():
    assert render() == []


@needs_helm
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_every_document(documents, version):
    kinds = [document["kind"] for document in documents]
    assert "Deployment" in kinds
    for document in documents:
        if document["kind"] not in NOT_KUBERNETES:
            kubernetes_validate.validate(document, version, strict=True)


@needs_helm
def test_names_are_not_given_twice(documents):
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(names) == len(set(names))


@needs_helm
def test_every_pod_is_nobody_and_may_write_nowhere(documents):
    for name, pod in pods(documents):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert not container["image"].endswith((":", ":latest"))


@needs_helm
def test_every_service_is_probed_where_it_answers(documents):
    for document in documents:
        if document["kind"] != "Deployment":
            continue
        for container in document["spec"]["template"]["spec"]["containers"]:
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = container[probe].get("httpGet") or container[probe]["tcpSocket"]
                assert asked["port"] in ports
                assert "path" not in asked or asked == {"path": "/health", "port": "https", "scheme": "HTTPS"}


@needs_helm
def test_what_is_mounted_is_there_and_not_for_others(documents):
    for name, pod in pods(documents):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
        assert mounted == volumes.keys(), name
        for volume in volumes.values():
            kept = volume.get("projected") or volume.get("secret")
            assert not kept or kept["defaultMode"] == 0o440
        if any("projected" in volume for volume in volumes.values()):
            assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


@needs_helm
def test_selectors_meet_their_pods(documents):
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in documents if d["kind"] == "Deployment"]
    services = [d["metadata"]["labels"] for d in documents if d["kind"] == "Service"]
    for document in documents:
        among = services if document["kind"] == "ServiceMonitor" else labels
        selector = document["spec"].get("podSelector") or document["spec"].get("selector") if "spec" in document else {}
        wanted = selector and selector.get("matchLabels", selector)
        if wanted:
            assert sum(wanted.items() <= of.items() for of in among) == 1, document["kind"]


@needs_helm
def test_no_secret_is_rendered(documents):
    """Neither a Secret nor a setting that holds one: all of them are references."""
    assert not [document for document in documents if document["kind"] == "Secret"]
    for document in documents:
        for name, text in document.get("data", {}).items():
            if name.endswith(".toml"):
                assert not re.search(rf"^\s*({'|'.join(SECRETS)}|bearer) = ", text, re.MULTILINE)
                assert all(value.startswith("@") for value in re.findall(r'secret = "(.*)"', text))
    for _, pod in pods(documents):
        for container in containers(pod):
            for variable in container.get("env", []):
                assert "valueFrom" in variable or "PASS" not in variable["name"]


@needs_helm
@pytest.mark.parametrize("version", KUBERNETES)
def test_a_document_that_is_wrong_is_noticed(version):
    document = one(render("mover"), "Deployment", "cs3-mover")
    document["spec"]["template"]["spec"]["container"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, version, strict=True)


NEXT = [
    (None, "Nothing is enabled. Set mover.enabled or broker.enabled"),
    ("mover", "rucio rse attribute set RSE --key fts --value https://cs3-mover.rucio.svc:8446\n"),
    ("movers", "kubectl --namespace rucio rollout status deployment/cs3-mover\n"),
    ("broker", '{"cs3": {…, "broker": "https://broker.example.org", "auth": "rucio, broker"}}'),
    ("demo", "helm --namespace rucio test cs3 --logs\n"),
]


@needs_helm
@pytest.mark.parametrize(("variant", "said"), NEXT)
def test_the_notes_say_what_to_do_next(variant, said, tmp_path):
    assert said in notes(tmp_path, variant)

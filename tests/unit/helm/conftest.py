"""What a pod would find in its volumes."""

from __future__ import annotations

import os

import pytest
import trustme

PLACE = "/run/rucio-cs3"
SECRET = "s3cret"  # whatever it is for


@pytest.fixture
def as_mounted(tmp_path):
    """The settings file of a pod, in which all that it names is in a folder of ours, as the pod's volumes say."""
    from tests.unit.helm.chart import one  # noqa: PLC0415 - skips where an extra is missing, which a conftest may not

    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    content = {
        "tls.crt": pair.cert_chain_pems[0].bytes(),
        "tls.key": pair.private_key_pem.bytes(),
        "ca.crt": authority.cert_pem.bytes(),
    }

    (tmp_path / "ca.crt").write_bytes(content["ca.crt"])

    def mount(documents, name):
        component = name.rpartition("-")[2]
        pod = one(documents, "Deployment", name)["spec"]["template"]["spec"]
        files = next(volume["projected"] for volume in pod["volumes"] if volume["name"] == "files")
        for source in files["sources"]:
            for item in next(iter(source.values()))["items"]:
                file = tmp_path / item["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.get(item["key"], SECRET.encode()))
                os.chmod(file, files["defaultMode"])
        text = one(documents, "ConfigMap", name)["data"][f"{component}.toml"]
        settings = tmp_path / f"{component}.toml"
        settings.write_text(text.replace(PLACE, str(tmp_path)))
        return settings

    return mount

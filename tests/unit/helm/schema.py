"""The chart's values.schema.json, of which what mover.toml and broker.toml may say comes from their dataclasses.

python -m tests.unit.helm.schema    # writes it anew, after a setting has come or gone
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from rucio_cs3.broker import config as broker
from rucio_cs3.config import SECRETS, Config
from rucio_cs3.mover import config as mover

CHART = Path(__file__).parents[3] / "etc/helm/rucio-cs3"
FILE = CHART / "values.schema.json"

TEXT = {"type": "string"}
NAME = {"type": "string", "maxLength": 253, "pattern": "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"}
FLAG = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 1}
TABLE = {"type": "object"}
LIST = {"type": "array", "items": {"type": "object"}}
NEVER = {"description": "a secret: its _file takes {secret: NAME, key: KEY}"}  # the chart says so better than a schema
SETTINGS = {
    "bool": FLAG,
    "int": {"type": "integer"},
    "int | None": {"type": "integer"},
    "float": {"type": "number"},
    "str": TEXT,
    "str | None": TEXT,
    "list[str]": {"type": "array", "items": TEXT},
    "dict[str, int]": {"type": "object", "additionalProperties": COUNT},
    "dict[str, str]": {"type": "object", "additionalProperties": TEXT},
}
FILES = {"ca", "client_ca", "client_cert", "client_key"}
OURS = {"listen", "tls_cert", "tls_key", "database"}  # that the chart sets
# Where a site's files are, beside what its client knows: rucio_cs3.mover.sites
PLACE = {"doors": SETTINGS["list[str]"], **dict.fromkeys(("webdav_root", "cs3_root", "space", "tpc"), TEXT)}
SECRET = SECRETS | {"bearer"}


def table(**properties):
    return {"type": "object", "additionalProperties": False, "properties": properties}


def tables(of):
    return {"type": "object", "additionalProperties": of}


def ref(name):
    return {"$ref": f"#/definitions/{name}"}


def settings(kind, *leave_out, **known):
    """What a dataclass takes."""
    return table(
        **{f.name: known.get(f.name) or setting(f) for f in dataclasses.fields(kind) if f.name not in leave_out}
    )


def setting(field):
    if field.name in SECRET:
        return NEVER
    if field.name.endswith("_file") or field.name in FILES:
        return ref("file")
    return SETTINGS.get(str(field.type), TEXT)


def service(**more):
    """What mover and broker have in common."""
    return table(
        enabled=FLAG,
        replicas={"type": "integer", "minimum": 0},
        tls=table(existingSecret=NAME),
        service=table(
            type={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
            annotations=ref("texts"),
            externalTrafficPolicy={"enum": ["", "Cluster", "Local"]},
        ),
        ingress=table(enabled=FLAG, className=TEXT, annotations=ref("texts"), host=TEXT, tlsSecret=NAME),
        networkPolicy=table(enabled=FLAG, **{"from": LIST}, egress=LIST),
        resources=TABLE,
        env=LIST,
        extraVolumes=LIST,
        extraVolumeMounts=LIST,
        podAnnotations=ref("texts"),
        nodeSelector=ref("texts"),
        tolerations=LIST,
        affinity=TABLE,
        **more,
    )


def monitor(**more):
    return table(enabled=FLAG, interval=TEXT, labels=ref("texts"), tlsConfig=TABLE, **more)


POSTGRESQL = table(
    host=TEXT,
    port={"type": "integer", "minimum": 1, "maximum": 65535},
    name=TEXT,
    existingSecret=NAME,
    userKey=TEXT,
    passwordKey=TEXT,
    sslmode={"enum": ["disable", "require", "verify-ca", "verify-full"]},
    ca=ref("file"),
)
MOVER_SITE = settings(Config)
MOVER_SITE["properties"].update(PLACE)
NUMBER = {"type": ["integer", "null"], "minimum": 0}
IMAGE = table(
    repository={"type": "string", "minLength": 1},
    tag=TEXT,
    digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
)

SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "rucio-cs3",
    **table(
        **{"global": TABLE},
        fullnameOverride=NAME,
        image=ref("image"),
        imagePullSecrets=LIST,
        listenHost={"type": "string", "minLength": 1},
        mover=service(
            settings=settings(
                mover.MoverConfig,
                *OURS,
                limits=settings(mover.Limits),
                callers=tables(settings(mover.Caller)),
                sites=tables(MOVER_SITE),
            ),
            database=table(
                persistence=table(existingClaim=NAME, size=TEXT, storageClass=NAME),
                postgresql=POSTGRESQL,
            ),
            serviceMonitor=monitor(caller=TEXT),
        ),
        broker=service(
            settings=settings(
                broker.BrokerConfig,
                rucio=settings(broker.Rucio),
                sites=tables(settings(broker.Site)),
                limits=settings(broker.Limits),
                metrics=settings(broker.Metrics),
            ),
            threads=COUNT,
            serviceMonitor=monitor(),
        ),
        demo=table(
            enabled=FLAG,
            image=ref("image"),
            caller=TEXT,
            sites={"type": "array", "minItems": 2, "items": {"type": "string", "pattern": "^[a-z][a-z0-9]*$"}},
            existingSecret=NAME,
            resources=TABLE,
        ),
        securityContext=table(runAsUser={**NUMBER, "minimum": 1}, runAsGroup=NUMBER, fsGroup=NUMBER),
    ),
    "definitions": {
        "image": IMAGE,
        "texts": SETTINGS["dict[str, str]"],
        "file": {
            "description": "{secret: NAME, key: KEY}, {configMap: NAME, key: KEY}, or a path in the container",
            "type": ["string", "object"],
            "additionalProperties": False,
            "required": ["key"],
            "minProperties": 2,
            "maxProperties": 2,
            "properties": {
                "secret": NAME,
                "configMap": NAME,
                "key": {"type": "string", "pattern": "^[-._a-zA-Z0-9]+$"},
            },
        },
    },
}


def text():
    return json.dumps(SCHEMA, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

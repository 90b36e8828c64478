"""What helm says of values that are wrong: where, what, and what to do."""

from __future__ import annotations

import pytest

from tests.unit.helm.chart import Refused, needs_helm, render

WRONG = [  # the variant, what is set, and what is said
    ("mover", {"mover.replica": 2}, "'replica'"),
    ("mover", {"mover.replicas": "two"}, "/mover/replicas"),
    ("mover", {"mover.replicas": 2}, "mover.replicas: 2 movers cannot share an SQLite file"),
    ("mover", {"mover.tls.existingSecret": ""}, "mover.tls.existingSecret: name a Secret of type kubernetes.io/tls"),
    ("mover", {"mover.settings.callers": None}, "mover.settings.callers: say who may ask"),
    ("mover", {"mover.settings.sites": None}, "mover.settings.sites: there are none"),
    ("mover", {"mover.settings.listen": "0.0.0.0:1"}, "'listen'"),
    ("mover", {"mover.settings.limits.copys": 3}, "'copys'"),
    ("mover", {"mover.settings.limits.copies": "many"}, "/mover/settings/limits/copies"),
    ("mover", {"mover.settings.sites.SURF.doors": "davs://surf"}, "/mover/settings/sites/SURF/doors"),
    (
        "mover",
        {"mover.settings.sites.SURF.password": "hunter2"},
        "SURF.password: a secret has no place in values; set password_file: {secret: NAME, key: KEY}",
    ),
    (
        "mover",
        {"mover.settings.callers.rucio.bearer": "hunter2"},
        "mover.settings.callers.rucio.bearer: a secret has no",
    ),
    ("mover", {"mover.settings.sites.SURF.password_file": {"file": "surf"}}, "/SURF/password_file"),
    (
        "mover",
        {"mover.settings.sites.SURF.password_file": {"secret": "", "key": "k"}},
        "SURF.password_file: name a Secret",
    ),
    ("mover", {"mover.serviceMonitor.enabled": True}, "mover.serviceMonitor.caller: Prometheus has nothing to show"),
    (
        "mover",
        {"mover.serviceMonitor.enabled": True, "mover.serviceMonitor.caller": "rucio"},
        "mover.settings.callers.rucio.bearer_file: {secret: NAME, key: KEY}",
    ),
    (
        "movers",
        {"mover.database.postgresql.existingSecret": ""},
        "mover.database.postgresql.existingSecret: name a Secret",
    ),
    ("movers", {"mover.database.postgresql.ca": None}, "postgresql.ca: sslmode verify-full needs its authority"),
    ("movers", {"mover.database.postgresql.sslmode": "prefer"}, "/mover/database/postgresql/sslmode"),
    ("movers", {"image.digest": "sha256:abc"}, "/image/digest"),
    ("movers", {"securityContext.runAsUser": 0}, "/securityContext/runAsUser"),
    ("broker", {"broker.tls.existingSecret": ""}, "broker.tls.existingSecret: name a Secret"),
    ("broker", {"broker.settings.rucio": None}, "broker.settings.rucio: say which Rucio"),
    ("broker", {"broker.settings.sites": None}, "broker.settings.sites: there are none"),
    ("broker", {"broker.ingress.host": ""}, "broker.ingress.host: give the name"),
    ("broker", {"broker.serviceMonitor.enabled": True}, "is refused with broker.settings.behind_proxy"),
    ("demo", {"demo.existingSecret": ""}, "demo.existingSecret: name a Secret with keys jwt-secret, transfer-secret"),
    ("demo", {"demo.caller": ""}, "demo.caller: helm test has nothing to show"),
    ("demo", {"demo.sites": ["one"]}, "/demo/sites"),
]


@needs_helm
@pytest.mark.parametrize(("variant", "values", "said"), WRONG, ids=lambda each: str(each)[:60])
def test_what_is_wrong_is_told_by_name(variant, values, said):
    with pytest.raises(Refused) as refused:
        render(variant, values=nested(values))
    told = str(refused.value)
    assert said in told
    assert "hunter2" not in told


def nested(values):
    made = {}
    for path, value in values.items():
        *above, last = path.split(".")
        table = made
        for name in above:
            table = table.setdefault(name, {})
        table[last] = value
    return made

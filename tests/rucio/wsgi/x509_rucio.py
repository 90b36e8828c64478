"""Rucio behind TLS with client certificates: gunicorn checks them, and Rucio is told the subject as Apache would."""

from __future__ import annotations

from rucio.web.rest.flaskapi.v1.main import application as rucio


def application(environ, start_response):
    certificate = environ["gunicorn.socket"].getpeercert()
    subject = dict(part for group in certificate["subject"] for part in group) if certificate else {}
    if "commonName" in subject:  # the rest of it is new with every run of the tests
        environ["SSL_CLIENT_S_DN"] = f"CN={subject['commonName']}"
    return rucio(environ, start_response)

"""The WebDAV door, as its tests ask it: requests, the properties in their answers, and what is sent."""

from __future__ import annotations

import base64
import posixpath
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree as ET

D, OC = "{DAV:}", "{http://owncloud.org/ns}"
NEW, OLD = b"n" * 300_000, b"old content"
ASK = '<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:x="urn:x">{}</d:propfind>'


class Dav:
    """Requests through the door, to paths below a folder."""

    def __init__(self, storage, wire, folder):
        self.root = storage.dav
        self.site = self.root[: -len(urlsplit(self.root).path)]
        self.below = posixpath.relpath(folder, storage.home)
        self.wire = wire

    def url(self, path="", base=None):
        return f"{self.site}{base}/{self.below}{quote(path)}" if base else f"{self.root}/{self.below}{quote(path)}"

    def __call__(self, method, path="", body=None, *, url=None, login=True, **headers):
        body = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        token = {"X-Access-Token": self.wire.token} if login else {}
        return self.wire.http.request(method, url or self.url(path), body=body, headers={**token, **named})

    def code(self, *args, **kwargs):
        return self(*args, **kwargs).status

    def put(self, path, content=OLD):
        assert self.code("PUT", path, content) in (201, 204)
        return path

    def content(self, path):
        reply = self("GET", path)
        return reply.data if reply.status == 200 else None

    def find(self, path="", body=None, depth="0"):
        """By href: the properties that are there, with their texts, and the names of those that are not."""
        reply = self("PROPFIND", path, body, Depth=depth)
        assert reply.status == 207
        return [
            (response.find(f"{D}href").text, props(response, "200"), set(props(response, "404")))
            for response in ET.fromstring(reply.data)
        ]

    def hrefs(self, path="", depth="1"):
        return [unquote(href) for href, _, _ in self.find(path, depth=depth)]

    def path(self, path):
        return unquote(urlsplit(self.url(path)).path)


def props(response, status):
    return {
        prop.tag: prop.text if not len(prop) else [child.tag for child in prop]
        for stated in response.findall(f"{D}propstat")
        if status in stated.find(f"{D}status").text
        for prop in stated.find(f"{D}prop")
    }


def basic(username, password):
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def patch(kind, inner):
    return f'<d:propertyupdate xmlns:d="DAV:"><d:{kind}><d:prop>{inner}</d:prop></d:{kind}></d:propertyupdate>'

"""RSEs that are broken on purpose, each in one way: one table."""

from __future__ import annotations

import time

from demo.storage import LOGIN
from tests.rucio.ground import DAY, NOW

SECRET = LOGIN["password"]
LATER = 3600  # seconds

# How it is broken -> the check that has to say so, and words of what it says, or of what it says is to be done.
BROKEN = {
    "RSE unknown in Rucio": (lambda g: g.call_it("NOWHERE"), "rse", "knows no RSE NOWHERE rucio-cs3 rse add NOWHERE"),
    "protocol of another plugin": (
        lambda g: g.protocol(impl="rucio.rse.protocols.posix.Default"),
        "rse",
        "no protocol with impl rucio_cs3 is it another RSE? rucio-cs3 rse add",
    ),
    "Rucio is down": (
        lambda g: g.sections.update(client={"rucio_host": "http://127.0.0.1:1", "auth_host": "http://127.0.0.1:1"}),
        "rucio",
        "rucio whoami",
    ),
    "login to Rucio refused": (
        lambda g: g.sections.update(client={"password": "wrong", "auth_token_file_path": g.folder / "token"}),
        "rucio",
        "rucio whoami",
    ),
    "unknown setting": (lambda g: g.config(pasword="x"), "settings", "of rucio.cfg: unknown setting 'pasword'"),
    "unknown attribute": (
        lambda g: g.attributes(cs3_rot="/home"),
        "settings",
        "unknown setting 'cs3_rot' did you mean 'cs3_root'",
    ),
    "no number": (lambda g: g.config(retries="many"), "settings", "retries: 'many' is not a whole number"),
    "secret in extended attributes": (
        lambda g: g.attributes(password=SECRET),
        "settings",
        "everybody can read them move it to section",
    ),
    "prefix not below webdav_root": (
        lambda g: g.protocol(prefix="/elsewhere/"),
        "settings",
        "prefix /elsewhere/ is not below webdav_root",
    ),
    "secret file that others can read": (
        lambda g: g.config(password=None, password_file=g.file(SECRET, 0o644)),
        "secrets",
        "can be read or changed by others chmod o-rwx",
    ),
    "secret file missing": (
        lambda g: g.config(password=None, password_file=g.folder / "nowhere"),
        "secrets",
        "No such file or directory correct password_file in section",
    ),
    "secret file empty": (lambda g: g.config(password=None, password_file=g.file("")), "secrets", "is empty"),
    "host unknown": (lambda g: g.attributes(gateway="cs3.invalid:443", tls=True), "gateway.dns", "has no address"),
    "nothing listens": (lambda g: g.attributes(gateway="127.0.0.1:1"), "gateway.tcp", "nothing listens at 127.0.0.1:1"),
    "port of something else": (lambda g: g.attributes(gateway=g.gateway.http), "gateway.tls", "speaks HTTP"),
    "TLS to a plaintext port": (lambda g: g.attributes(tls=True), "gateway.tls", "in plaintext, and tls is true"),
    "plaintext to a TLS port": (
        lambda g: (g.secure(ca=False), g.attributes(tls=False)),
        "gateway.tls",
        "speaks TLS, and tls is false",
    ),
    "unknown CA": (lambda g: g.secure(ca=False), "gateway.tls", "unable to get local issuer set ca to a file"),
    "self-signed certificate": (lambda g: g.secure(ca=False, self_signed=True), "gateway.tls", "self-signed name it"),
    "wrong host name": (lambda g: g.secure("cs3.example.org"), "gateway.tls", "mismatch use a name that is in"),
    "expired certificate": (
        lambda g: g.secure(not_before=NOW - 9 * DAY, not_after=NOW - DAY),
        "gateway.tls",
        "expired operator has to renew",
    ),
    "certificate of tomorrow": (
        lambda g: g.secure(not_before=NOW + DAY, not_after=NOW + 9 * DAY),
        "gateway.tls",
        "not yet valid clock",
    ),
    "no CA file": (lambda g: (g.secure(), g.config(ca="/nowhere.pem")), "gateway.tls", "/nowhere.pem check ca"),
    "door closed": (lambda g: g.protocol(port=1), "door.tcp", "127.0.0.1:1, where the WebDAV door should be"),
    "door is the gateway": (
        lambda g: g.protocol(port=int(g.gateway.grpc.rpartition(":")[2])),
        "door.tls",
        "speaks gRPC without TLS, and the WebDAV door speaks HTTP",
    ),
    "clock skew": (lambda g: g.skew(LATER), "clock", "s ahead of ours NTP"),
    "wrong password": (lambda g: g.config(password="wrong"), "login", "refused the basic login of einstein"),
    "unknown user": (lambda g: g.config(username="nobody"), "login", "refused the basic login of nobody"),
    "no login at all": (
        lambda g: g.config(auth=None, username=None, password=None),
        "login",
        "no credentials are set token explain",
    ),
    "expired Reva token": (
        lambda g: g.config(auth="token", token=g.reva_token(exp=time.time() - LATER)),
        "login",
        "the token expired at get another one",
    ),
    "forged Reva token": (
        lambda g: g.config(auth="token", token=g.reva_token(exp=time.time() + LATER)[:-4] + "AAAA"),
        "login",
        "made for another site",
    ),
    "expired OIDC token": (
        lambda g: g.config(auth="bearer", bearer_token=g.reva_token(exp=time.time() - LATER)),
        "login",
        "bearer_token expired at get a new one",
    ),
    "misspelt cs3_root": (
        lambda g: g.attributes(cs3_root="/hom"),
        "root",
        "/ is there, with home in it check cs3_root",
    ),
    "no root folder": (lambda g: g.move_root(), "root", "cannot be seen make the folder"),
    "root is a file": (lambda g: (g.move_root(), g.site.folder.write_text("x")), "root", "is not a folder"),
    "quota full": (lambda g: g.use(g.own(quota=1000)), "space", "of 1,000 bytes are free raise the quota"),
    "quota full, and not told": (
        lambda g: g.faults({"on": "grpc:InitiateFileUpload", "kind": "full"}),
        "write",
        "INSUFFICIENT_STORAGE free space or raise",
    ),
    "root not writable": (
        lambda g: g.faults({"on": "grpc:InitiateFileUpload", "kind": "no_permission"}),
        "write",
        "PERMISSION_DENIED ask the owner of the folder",
    ),
    "storage that keeps nothing": (
        lambda g: g.faults({"on": "grpc:Stat", "kind": "status", "status": "NOT_FOUND"}),
        "write",
        "it was written, and is not there",
    ),
    "storage that loses the end": (
        lambda g: g.faults({"on": "http:PUT", "kind": "short", "after": 1000}),
        "write",
        "bytes were written, and the storage has 1000",
    ),
    "storage that corrupts a byte": (
        lambda g: g.faults({"on": "http:PUT", "kind": "wrong_byte", "after": 12345}),
        "read",
        "other bytes came back than were sent, from byte 12345 on",
    ),
    "data server that fails": (
        lambda g: g.faults({"on": "http:GET", "kind": "status", "status": "500"}),
        "read",
        "HTTP 500",
    ),
    "checksum lies": (lambda g: g.lie_about_checksums(), "checksum", "the storage says adler32 00000001"),
    "door of another site": (
        lambda g: g.protocol(port=int(g.own().http.rpartition(":")[2])),
        "door.login",
        "does not take tokens of gateway is it the door of another site?",
    ),
    "wrong webdav_root": (
        lambda g: (
            g.attributes(webdav_root="/remote.php", cs3_root="/home"),
            (g.gateway.home / "webdav" / g.site.folder.name).mkdir(parents=True),
        ),
        "door.file",
        "the door opens on another folder webdav_root",
    ),
    "storage that does not rename": (
        lambda g: g.faults({"on": "grpc:Move", "kind": "status", "status": "UNIMPLEMENTED"}),
        "rename",
        "Rucio renames every file",
    ),
    "storage that does not delete": (
        lambda g: g.faults({"on": "grpc:Delete", "kind": "status", "status": "INTERNAL"}),
        "delete",
        "reaper would not get rid of files",
    ),
    "plugin not importable at the server": (lambda g: g.without_plugin(), "server.plugin", "install rucio-cs3 where"),
    "scheme not allowed": (
        lambda g: g.native(),
        "server.scheme",
        "does not know scheme cs3 use davs",
    ),
    "no priority for reading": (lambda g: g.domains(read=None), "server.domains", "no protocol entry is for read"),
    "fts points nowhere": (
        lambda g: g.fts("http://127.0.0.1:1"),
        "server.fts",
        "fts = http://127.0.0.1:1 does not answer",
    ),
    "fts is something else": (lambda g: g.fts(f"http://{g.gateway.http}"), "server.fts", "not as FTS does"),
    "no distance": (
        lambda g: (g.use(g.own(tpc="honest")), g.beside(g.own(), joined=False)),
        "distance",
        "no distance is set rucio rse distance set",
    ),
    "other RSE without login": (
        lambda g: (g.use(g.own(tpc="honest")), g.sections.__setitem__(f"cs3:{g.beside(g.own()).rse}", {})),
        "other",
        "no credentials",
    ),
    "other RSE with a door in the clear": (
        lambda g: (g.use(g.own(tpc="honest")), g.beside(g.own(), hostname="door.invalid")),
        "other",
        "a token would be sent in the clear and leave tls on",
    ),
    "door that says 201 and writes nothing": (
        lambda g: g.liar(),
        "copy.push",
        "success was said, and nothing is there",
    ),
}
# What is written there cannot be found again, or cannot be removed.
HOPELESS = [BROKEN[name][0] for name in ("storage that keeps nothing", "storage that does not delete")]

"""Programs of other people, as the distribution has them."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

SYSTEM = "/usr/local/bin:/usr/bin:/bin"  # not the Python environment of the tests, whose libraries are not theirs


def needed(program):
    return pytest.mark.skipif(not shutil.which(program, path=SYSTEM), reason=f"{program} is not installed")


class Programs:
    """Runs them with a token, which they get by file or environment where they can."""

    def __init__(self, url, token, folder):
        self.url = url
        headers = folder / "headers"
        headers.write_text(f'header = "Authorization: Bearer {token}"\n')
        headers.chmod(0o600)
        self.curl_config = str(headers)
        self.bearer = {"BEARER_TOKEN": token}
        self.rclone_remote = {
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_CONFIG_DAV_TYPE": "webdav",
            "RCLONE_CONFIG_DAV_VENDOR": "owncloud",
            "RCLONE_CONFIG_DAV_URL": url,
            "RCLONE_CONFIG_DAV_BEARER_TOKEN": token,
        }
        self.home = folder

    def run(self, *command, check=True, **env):
        env = {"PATH": SYSTEM, "HOME": str(self.home), "LC_ALL": "C.UTF-8", **env}
        return subprocess.run([*map(str, command)], env=env, capture_output=True, text=True, timeout=60, check=check)

    def curl(self, *command, **options):
        return self.run("curl", "-sS", "-f", "-K", self.curl_config, *command, **options)

    def rclone(self, *command, **options):
        return self.run("rclone", *command, **options, **self.rclone_remote)

    def gfal(self, name, *command, **options):
        dav = [word.replace("http://", "dav://", 1) for word in map(str, command)]
        return self.run(f"gfal-{name}", *dav, **options, **self.bearer)

    def davix(self, name, *command, **options):
        """It has no other way for a token than an argument, which everybody on the machine can read."""
        header = f"Authorization: Bearer {self.bearer['BEARER_TOKEN']}"
        return self.run(f"davix-{name}", "-H", header, *command, **options)

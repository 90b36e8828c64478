"""Application passwords: made by their users, kept hashed, each with what it lets be done and until when."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import string
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

from cs3.auth.applications.v1beta1 import resources_pb2 as applications
from cs3.types.v1beta1 import types_pb2 as types
from google.protobuf import json_format

if TYPE_CHECKING:
    from pathlib import Path

LENGTH = 16  # random letters, 95 bits: nobody guesses them from a hash, however quick that is to compute
LETTERS = string.ascii_letters + string.digits
SALT = 16  # bytes


class AppPasswords:
    """The passwords of all users, in one file that nobody else may read.

    Raises:
        ValueError: the file holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = _load(path)

    def generate(self, user_id: Any, request: Any) -> Any:
        """A new password of this user, as it is told once and never again."""
        password = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
        now = types.Timestamp(seconds=int(time.time()))
        made = applications.AppPassword(
            password=_hashed(password, secrets.token_bytes(SALT)),
            token_scope=request.token_scope,
            label=request.label,
            user=user_id,
            expiration=request.expiration if request.HasField("expiration") else None,
            ctime=now,
            utime=now,
        )
        with self._lock:
            self._known.append(made)
            self._save()
        told = applications.AppPassword()
        told.CopyFrom(made)
        told.password = password
        return told

    def of(self, user_id: Any) -> list[Any]:
        """With hashes in place of passwords, and the expired ones too."""
        with self._lock:
            return [entry for entry in self._known if entry.user == user_id]

    def invalidate(self, user_id: Any, hashed: str) -> bool:
        """Forget the password with this hash; False when the user has no such."""
        with self._lock:
            left = [entry for entry in self._known if entry.user != user_id or entry.password != hashed]
            found = len(left) < len(self._known)
            self._known = left
            if found:
                self._save()
        return found

    def find(self, user_id: Any, password: str) -> Any:
        """The entry of a password that is good now, or None. It counts as used."""
        for entry in self.of(user_id):
            if _matches(entry.password, password):
                return self._use(entry)
        return None

    def _use(self, entry: Any) -> Any:
        now = int(time.time())
        if entry.expiration.seconds and now > entry.expiration.seconds:
            return None
        with self._lock:
            entry.utime.seconds = now
            self._save()
        return entry

    def _save(self) -> None:
        fd, draft = tempfile.mkstemp(dir=self._path.parent)  # 0600, and complete before it has its name
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a file descriptor
            json.dump([json_format.MessageToDict(entry) for entry in self._known], file)
        os.replace(draft, self._path)  # noqa: PTH105 - mkstemp gives a string


def _load(path: Path) -> list[Any]:
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [json_format.ParseDict(entry, applications.AppPassword()) for entry in entries]
    except (ValueError, TypeError, json_format.ParseError) as error:
        raise ValueError(f"{path}: not a list of application passwords") from error


def _hashed(password: str, salt: bytes) -> str:
    digest = hashlib.scrypt(password.encode(), salt=salt, n=1 << 10, r=8, p=1)
    return f"$scrypt${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _matches(hashed: str, password: str) -> bool:
    salt = base64.b64decode(hashed.split("$")[2])
    return hmac.compare_digest(hashed, _hashed(password, salt))

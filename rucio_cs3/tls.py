"""One TLS configuration for gRPC and HTTP. There is no switch that turns verification off: name the CA instead."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from rucio_cs3.errors import ConfigError

if TYPE_CHECKING:
    from rucio_cs3.config import Config

ENVIRONMENT = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "X509_CERT_DIR")


def authorities(config: Config) -> bytes:
    """All trusted certificates as one PEM text, which is the only form that gRPC takes."""
    place = config.ca or next(filter(None, map(os.environ.get, ENVIRONMENT)), None) or _system_authorities()
    path = Path(place).expanduser()
    try:
        files = sorted(p for p in path.iterdir() if p.suffix in {".pem", ".crt", ".0"}) if path.is_dir() else [path]
        pem = b"\n".join(file.read_bytes() for file in files)
    except OSError as error:
        raise ConfigError(
            f"cannot read the certificate authorities in {place}: {error.strerror}", hint="check ca"
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise ConfigError(f"there is no PEM certificate in {place}", hint="check ca")
    return pem


def client_pair(config: Config) -> tuple[bytes | None, bytes | None]:
    """Private key and certificate, or twice None."""
    if not (config.client_cert and config.client_key):
        return None, None
    return _read(config.client_key, "client_key"), _read(config.client_cert, "client_cert")


def context(config: Config) -> ssl.SSLContext:
    """The same for HTTP, for urllib3, which compares host names itself: OpenSSL cannot when 1.26 meets an address."""
    try:
        made = ssl.create_default_context(cadata=authorities(config).decode("utf-8", "replace"))
        if config.client_cert:
            made.load_cert_chain(Path(config.client_cert).expanduser(), Path(config.client_key or "").expanduser())
        made.check_hostname = False
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"cannot use the TLS files of {config.gateway}: {error}", hint="check ca, client_cert, client_key"
        ) from error
    return made


def _system_authorities() -> str:
    system = ssl.get_default_verify_paths().cafile
    return system or DEFAULT_CA_BUNDLE_PATH


def _read(file: str, setting: str) -> bytes:
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {setting} {file}: {error.strerror}") from error

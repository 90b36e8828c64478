"""A certificate authority of the stack's own. Its key never leaves the vault."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from vault import Vault

ORGANIZATION = "rucio-cs3"
DAYS = 3650
USAGES = ("digital_signature", "key_cert_sign", "crl_sign")
OTHER_USAGES = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")


class Authority:
    """`pem` is its certificate."""

    def __init__(self, vault: Vault) -> None:
        self._key = serialization.load_pem_private_key(vault.kept("ca.key", lambda: pem_of(new_key())).encode(), None)
        self.pem = vault.kept("ca.pem", self._signed_by_itself)
        self._certificate = x509.load_pem_x509_certificate(self.pem.encode())
        if self._certificate.public_key() != self._key.public_key():
            raise ValueError("ca.pem and ca.key do not belong together")

    def issue(self, name: str, hosts: tuple[str, ...] = ()) -> str:
        """A new key and a certificate for it, in one PEM file: a server's with hosts, else a client's."""
        key = new_key()
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        certificate = begun(name, key.public_key(), self._certificate.subject)
        certificate = certificate.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        certificate = certificate.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = certificate.add_extension(signer, critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([host_name(host) for host in hosts])
            certificate = certificate.add_extension(names, critical=False)
        return pem_of(key) + text_of(certificate.sign(self._key, hashes.SHA256()))

    def issued(self, pem: str) -> bool:
        """Whether this is a certificate of ours."""
        try:
            x509.load_pem_x509_certificate(pem.encode()).verify_directly_issued_by(self._certificate)
        except Exception:  # noqa: BLE001 -- whatever is wrong with it, it is none that can be used
            return False
        return True

    def _signed_by_itself(self) -> str:
        certificate = begun("certificate authority", self._key.public_key(), subject("certificate authority"))
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usages = {
            **dict.fromkeys(USAGES, True),
            **dict.fromkeys((*OTHER_USAGES, "encipher_only", "decipher_only"), False),
        }
        certificate = certificate.add_extension(x509.KeyUsage(**usages), critical=True)
        own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        return text_of(certificate.add_extension(own, critical=False).sign(self._key, hashes.SHA256()))


def begun(name: str, key: ec.EllipticCurvePublicKey, issuer: x509.Name) -> x509.CertificateBuilder:
    """What all certificates have."""
    now = dt.datetime.now(dt.timezone.utc)
    return x509.CertificateBuilder(
        issuer, subject(name), key, x509.random_serial_number(), now, now + dt.timedelta(days=DAYS)
    )


def subject(name: str) -> x509.Name:
    """As /O=rucio-cs3/CN=name."""
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


def host_name(host: str) -> x509.GeneralName:
    """An address or a name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Of the kind that all take, and that is quickly made."""
    return ec.generate_private_key(ec.SECP256R1())


def pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    """Without a passphrase: the file is what protects it."""
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def text_of(certificate: x509.Certificate) -> str:
    """As it stands in a file."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()

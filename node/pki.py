"""The node's own certificate authority: keys, certificates and kubeconfigs of its programs.

Follows the identities that Kubernetes asks for ("PKI certificates and requirements" in its
documentation): the user is the certificate's common name, its groups are the organisations.
"""

import base64
import datetime as dt
import ipaddress
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=365)
_BACKDATED = dt.timedelta(minutes=5)
"""Clocks of a machine that was just resumed lag."""


class Authority:
    """A certificate authority in a folder; makes what is missing, keeps what is there."""

    def __init__(self, folder: Path) -> None:
        """Open the authority in that folder, or found it there."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.certificate_file = folder / "ca.crt"
        self._key_file = folder / "ca.key"
        if not self.certificate_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coderun-node")])
            certificate = (
                _builder(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
            )
            _write_key(self._key_file, key)
            self.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, user: str, groups: tuple[str, ...] = (), addresses: tuple[str, ...] = ()) -> tuple[Path, Path]:
        """The certificate and key files of that name; both are made if they are missing."""
        certificate_file, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if certificate_file.exists() and key_file.exists():
            return certificate_file, key_file
        authority_key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._key_file} holds no elliptic-curve key")
        issuer = x509.load_pem_x509_certificate(self.certificate_file.read_bytes()).subject
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups] + [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        )
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = _builder(subject, issuer, key).add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if addresses:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(a) for a in addresses]), critical=False)
        certificate = builder.sign(authority_key, hashes.SHA256())
        _write_key(key_file, key)
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return certificate_file, key_file

    def kubeconfig(self, target: Path, server: str, name: str, user: str, *groups: str) -> Path:
        """Write a kubeconfig with a certificate of its own to `target`."""
        certificate_file, key_file = self.issue(name, user, groups)

        def inline(path: Path) -> str:
            return base64.b64encode(path.read_bytes()).decode()

        cluster = {"server": server, "certificate-authority-data": inline(self.certificate_file)}
        identity = {
            "client-certificate-data": inline(certificate_file),
            "client-key-data": inline(key_file),
        }
        context = {"cluster": "coderun-node", "user": user}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "coderun-node", "cluster": cluster}],
            "users": [{"name": user, "user": identity}],
            "contexts": [{"name": "coderun-node", "context": context}],
            "current-context": "coderun-node",
        }
        target.write_text(json.dumps(document, indent=1))
        target.chmod(0o600)
        return target


def signing_key(folder: Path) -> Path:
    """The key that signs service account tokens; made if it is missing."""
    path = folder / "service-accounts.key"
    if not path.exists():
        _write_key(path, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    return path


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + LIFETIME)
    )


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

"""Certificates of the node carry the identities that Kubernetes reads from them, and are made once."""

from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from node.pki import Authority


def test_user_and_groups_are_the_subject(tmp_path: Path) -> None:
    certificate_file, key_file = Authority(tmp_path / "pki").issue("kubelet", "system:node:n", ("system:nodes",), ("n", "10.0.0.1"))
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:n"]
    assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_an_authority_is_opened_again_and_keeps_what_it_issued(tmp_path: Path) -> None:
    first = Authority(tmp_path).issue("admin", "admin")[0].read_bytes()
    authority = Authority(tmp_path)
    assert authority.issue("admin", "admin")[0].read_bytes() == first
    issuer = x509.load_pem_x509_certificate(authority.certificate_file.read_bytes())
    x509.load_pem_x509_certificate(first).verify_directly_issued_by(issuer)

"""A certificate authority for the tests, and the certificates that it signs."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)
_OF_NO_MEANING = x509.ObjectIdentifier("1.3.6.1.4.1.55555.1")


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem_key(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _alternative_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """One that signed itself, or that its parent signed."""

    def __init__(self, directory, parent=None):
        self.name = _name("test intermediate" if parent else "test authority")
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (parent or self)._sign(
            self.name,
            self.key.public_key(),
            x509.BasicConstraints(ca=True, path_length=0 if parent else 1),
            None,
        )
        self.path = directory / "ca.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, public_key, constraints, names, days=30, extra_bytes=0):
        now = datetime.datetime.utcnow()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - max(1, 1 - days) * _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(constraints, critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative_name(name) for name in names]), False
            )
        if extra_bytes:
            extra = x509.UnrecognizedExtension(_OF_NO_MEANING, bytes(extra_bytes))
            builder = builder.add_extension(extra, False)
        return builder.sign(self.key, hashes.SHA256())

    def issue_client(self, path, common_name, emails=(), units=(), days=30):
        """Writes certificate and key of a person to one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        attributes += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(attributes))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 60 * _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        if emails:
            names = [x509.RFC822Name(email) for email in emails]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        certificate = builder.sign(self.key, hashes.SHA256())
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _pem_key(key))
        return path

    def issue(self, names, path, **options):
        """Writes certificate and key of `names` to one file, as HAProxy reads it. Options: `days` to
        live, `extra_bytes` that mean nothing."""
        key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=False, path_length=None)
        certificate = self._sign(_name(names[0]), key.public_key(), constraints, names, **options)
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _pem_key(key))
        return path

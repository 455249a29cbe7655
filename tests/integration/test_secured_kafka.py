"""A cluster that asks for TLS and a login: the same properties reach it from Java and from librdkafka."""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runners.direct.broker import Broker
from tests.integration.conftest import (
    DEMO,
    HAND_MADE,
    TAG,
    ReadTopic,
    RunPipeline,
    free_ports,
    new_topics,
    publish,
    tool,
)

LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="rtls" password="secret"'


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for the loopback address, signed by itself; return it alone, and it with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(tz=dt.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public_path, both_path = directory / "ca.pem", directory / "broker.pem"
    public_path.write_bytes(pem)
    both_path.write_bytes(private + pem)
    return public_path, both_path


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[Broker, str, Path]]:
    """A broker with a second, secured door: the broker, that door's address, and the authority to trust."""
    port, controller, secured_port = free_ports(3)
    authority, both = certificate(tmp_path)
    broker = Broker(
        tmp_path / "kafka",
        port,
        controller,
        tool("broker"),
        settings={
            "listeners": f"PLAINTEXT://127.0.0.1:{port},SECURED://127.0.0.1:{secured_port},"
            f"CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},SECURED://127.0.0.1:{secured_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SECURED:SASL_SSL,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.secured.plain.sasl.jaas.config": f'{LOGIN} user_rtls="secret";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(both),
        },
    )
    broker.start()
    try:
        yield broker, f"127.0.0.1:{secured_port}", authority
    finally:
        broker.stop()


def test_tls_and_sasl_on_both_sides(
    secured: tuple[Broker, str, Path],
    run_pipeline: RunPipeline,
    tmp_path: Path,
) -> None:
    broker, door, authority = secured
    topics = new_topics(broker)
    publish(broker, topics.data, [*HAND_MADE])
    properties = tmp_path / "cluster.properties"
    properties.write_text(
        "security.protocol=SASL_SSL\n"
        "sasl.mechanism=PLAIN\n"
        f"sasl.jaas.config={LOGIN};\n"
        "ssl.truststore.type=PEM\n"
        f"ssl.truststore.location={authority}\n",
    )
    start = dataclasses.replace(run_pipeline, broker=broker, topics=topics)
    child = start(DEMO, f"--bootstrap-servers={door}", f"--kafka-properties={properties}")
    (message,) = ReadTopic(broker)(topics.positions, lambda found: len(found) >= 1, 90, check=child.check)
    assert json.loads(message.value())["tagid"] == TAG

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

from pipeline.flink_rest import ENTRY_CLASS
from runners.direct.broker import Broker
from tests.integration.conftest import (
    DEMO,
    HAND_MADE,
    TAG,
    ReadTopic,
    RunOnFlink,
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


def test_a_portable_jar_holds_no_secret_and_finds_it_where_it_runs(
    secured: tuple[Broker, str, Path],
    run_on_flink: RunOnFlink,
    tmp_path: Path,
) -> None:
    """As on Kubernetes: the jar refers to a mounted file, and Kafka's own client resolves that."""
    broker, door, authority = secured
    topics = new_topics(broker)
    mounted = tmp_path / "kafka.properties"
    provider = "org.apache.kafka.common.config.provider.FileConfigProvider"
    properties = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority),
        "config.providers": "file",
        "config.providers.file.class": provider,
        "sasl.jaas.config": f"${{file:{mounted}:sasl.jaas.config}}",
    }
    start = dataclasses.replace(run_on_flink, broker=broker, topics=topics)
    jar = tmp_path / "job.jar"
    given = [f"--kafka-property={key}={value}" for key, value in properties.items()]
    built = start(DEMO, f"--bootstrap-servers={door}", *given, f"--output-jar={jar}")
    assert built.wait(120) == 0

    mounted.write_text("".join(f"{key}={value}\n" for key, value in properties.items() if "jaas" not in key))
    with mounted.open("a") as file:
        file.write(f"sasl.jaas.config={LOGIN};\n")
    publish(broker, topics.data, [*HAND_MADE])
    flink = run_on_flink.flink
    job = flink.submit(flink.upload(jar, "secured.jar"), ENTRY_CLASS, parallelism=1, savepoint=None)
    try:
        (message,) = ReadTopic(broker)(topics.positions, lambda found: len(found) >= 1, 180)
    finally:
        flink.cancel(job)
        flink.await_end(job, 60)
    assert json.loads(message.value())["tagid"] == TAG


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

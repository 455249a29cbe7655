"""Java's Kafka properties in librdkafka's words."""

from __future__ import annotations

import pytest

from pipeline.kafka_client import UnsupportedPropertyError, client_config


def test_a_tls_and_sasl_cluster() -> None:
    config = client_config(
        "broker:9093",
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
            'username="me" password="a\\"b";',
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": "ca.pem",
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.location": "me.p12",
            "ssl.keystore.password": "secret",
            "fetch.min.bytes": "1000",
        },
    )
    assert config == {
        "bootstrap.servers": "broker:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": 'a"b',
        "ssl.ca.location": "ca.pem",
        "ssl.keystore.location": "me.p12",
        "ssl.keystore.password": "secret",
    }


def test_a_pem_key_store_holds_certificate_and_key() -> None:
    config = client_config("b:1", {"ssl.keystore.type": "PEM", "ssl.keystore.location": "me.pem"})
    assert (config["ssl.certificate.location"], config["ssl.key.location"]) == ("me.pem", "me.pem")


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"ssl.truststore.location": "ca.jks"}, "set ssl.truststore.type to PEM"),
        ({"ssl.keystore.location": "k.jks", "ssl.keystore.type": "JKS"}, "PEM or PKCS12"),
        ({"sasl.jaas.config": "com.sun.security.auth.module.Krb5LoginModule required;"}, "PLAIN or SCRAM"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_what_to_use(properties: dict[str, str], told: str) -> None:
    with pytest.raises(UnsupportedPropertyError, match=told):
        client_config("b:1", properties)

"""Kafka as a plain client (confluent-kafka): for the checks before a run, the simulator and the live table.

The pipeline itself reads and writes through Beam's KafkaIO, which is Java. Settings are therefore given in the Java
client's words, and this file says them in librdkafka's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


class UnsupportedPropertyError(ValueError):
    """A Kafka property that has no counterpart in librdkafka."""


# Java's name: librdkafka's name, where they differ.
_RENAMED = {
    "sasl.mechanism": "sasl.mechanisms",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
}
# The same in both.
_SAME = {
    "client.id",
    "security.protocol",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.password",
    "ssl.keystore.password",
    "sasl.kerberos.service.name",
}
_JAAS_LOGIN = re.compile(r"""(username|password)\s*=\s*"((?:[^"\\]|\\.)*)\"""")


def client_config(bootstrap_servers: str, properties: Mapping[str, str]) -> dict[str, str]:
    """Return the librdkafka configuration that reaches the same cluster as Java ``properties`` do.

    Only what it takes to connect is translated; tuning of Java's consumer or producer is left out.

    Raises:
        UnsupportedPropertyError: a store or login that librdkafka cannot read, with what to use instead.
    """
    config = {"bootstrap.servers": bootstrap_servers}
    for key, value in properties.items():
        if key in _SAME:
            config[key] = value
        elif key in _RENAMED:
            config[_RENAMED[key]] = value
        elif key == "sasl.jaas.config":
            config.update(_jaas(value))
        elif key == "ssl.truststore.location":
            _require(properties, "ssl.truststore.type", {"PEM"}, key)
            config["ssl.ca.location"] = value
        elif key == "ssl.keystore.location":
            if _require(properties, "ssl.keystore.type", {"PEM", "PKCS12"}, key) == "PEM":
                config["ssl.certificate.location"] = value
                config["ssl.key.location"] = value
            else:
                config["ssl.keystore.location"] = value
    return config


def _require(properties: Mapping[str, str], key: str, allowed: set[str], location: str) -> str:
    found = properties.get(key, "JKS").upper()
    if found not in allowed:
        raise UnsupportedPropertyError(
            f"{location} is a {found} store; set {key} to {' or '.join(sorted(allowed))} and give a file of that type",
        )
    return found


def _jaas(text: str) -> dict[str, str]:
    login = {name: re.sub(r"\\(.)", r"\1", value) for name, value in _JAAS_LOGIN.findall(text)}
    if login.keys() != {"username", "password"}:
        raise UnsupportedPropertyError(
            'sasl.jaas.config: expected a PLAIN or SCRAM login with username="…" and password="…"',
        )
    return {"sasl.username": login["username"], "sasl.password": login["password"]}

"""One machine, no container: a real Kafka broker, Beam's expansion service, Prism; all started and stopped here."""

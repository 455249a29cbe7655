"""beam-rtls: positions of UWB tags, from distance readings in Kafka, as an Apache Beam pipeline."""

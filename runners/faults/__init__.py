"""``make faults``: the pipeline on Flink while its platform is broken, and an account of every reading."""

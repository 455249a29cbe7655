"""One PTransform a stage: state, timers and metrics around the positioning and the wire."""

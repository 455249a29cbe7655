"""``python -m pipeline`` is ``beam-rtls``."""

from pipeline.commands import main

if __name__ == "__main__":
    raise SystemExit(main())

"""The records of a run: what every line and document says, how it is written, and the one checked reader."""

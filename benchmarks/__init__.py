"""Measures accuracy, latency and size of every backend through the path a user's audio takes."""

import inference as inference  # keeps libraries from phoning home: see there

"""Public weights on this machine: from the Hub, or from the package index where the Hub is not, verified."""

"""Each backend against the plain library call a user would otherwise write."""

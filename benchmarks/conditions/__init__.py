"""Under which noises and distortions recognisers are tried, and the sounds that are no word."""

"""Small models fitted in seconds."""

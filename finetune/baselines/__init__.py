"""Small recognisers fitted on the same splits as the big ones."""

"""Where clips come from and how they are split: folders, the Hub, synthetic voices, words that are none."""

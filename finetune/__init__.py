"""Everything that learns from training clips: corpora, splits, fine-tuning and small baselines."""

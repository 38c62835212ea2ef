"""Fine-tuned encoders of raw waveforms: what can run them, and how they are converted for it."""

"""Fine-tuned encoders of speech with a head: what can run them, and how they are converted for it."""

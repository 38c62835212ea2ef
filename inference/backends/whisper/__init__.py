"""Zero-shot Whisper through faster-whisper: window, decoding, and the labels scored alone."""

"""Pure and clocked by samples: blocks of audio in, words and other events out."""

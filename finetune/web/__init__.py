"""A page that recognises words from the microphone in the browser, with no server behind it."""

"""Where audio comes from: a microphone in a child process, a recording, and what is kept of it."""

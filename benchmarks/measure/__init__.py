"""How answers, latency, memory and cold starts are measured, and on what machine."""

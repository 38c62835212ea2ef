"""One backend in a process of its own: the parent's client, and the child."""

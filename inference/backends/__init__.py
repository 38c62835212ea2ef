"""The ways to recognise a word: one table, one interface, one module or folder for each backend."""

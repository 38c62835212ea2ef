"""What a person or a program is shown: screen, lines, strings of digits, a score; and the keys."""

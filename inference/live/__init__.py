"""Live recognition: a microphone or a long recording in, one digit or one reject per spoken word out."""

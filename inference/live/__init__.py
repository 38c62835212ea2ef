"""Live recognition: a microphone or a long recording in, one label or one reject per spoken word out."""

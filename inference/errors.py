"""Errors a user can cause and mend; entry points print them as one message, without a traceback."""


class UserError(Exception):
    """A mistake of input or set-up; the message says what was received, what is allowed, what to type."""


class AudioError(UserError):
    """An audio source that cannot be used."""


class CheckpointError(UserError):
    """A checkpoint that is missing, incomplete or made for another vocabulary."""


class BackendUnavailableError(UserError):
    """A backend that cannot run here: a package or its weights are missing.

    Args:
        reason: What is missing.
        fix: The command or action that would mend it.
    """

    def __init__(self, reason: str, fix: str):
        super().__init__(f"{reason} {fix}")
        self.reason = reason
        self.fix = fix


class CorpusError(UserError):
    """A corpus or split that cannot be used."""


class HubUnreachableError(CorpusError):
    """A dataset that is not cached while the Hugging Face Hub cannot be reached."""

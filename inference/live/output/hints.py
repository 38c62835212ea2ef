"""Tells a speaker whom the microphone cannot hear."""

from collections.abc import Sequence

from inference.audio import SAMPLING_RATE
from inference.live.engine.events import Event, Hint, Level
from inference.live.engine.voice_activity import SILENCE_DBFS
from inference.live.output.terminal import Output

#: (level at most, for this many seconds, what to say); the first that applies is said.
RULES = (
    (SILENCE_DBFS, 3.0, "the microphone delivers nothing but zeros: it is muted or blocked."),
    (-70.0, 10.0, "hardly any sound: raise the microphone's level, or choose another with --device."),
)


class SilenceWatch:
    """An output that adds a hint when the microphone stays silent; once, until sound comes back.

    Args:
        outputs: Who is shown the hints.
    """

    def __init__(self, outputs: Sequence[Output]):
        self._outputs = outputs
        self._since: list[int | None] = [None] * len(RULES)
        self._said = False

    def show(self, event: Event) -> None:
        """Follows the level events."""
        if not isinstance(event, Level):
            return
        for index, (most_dbfs, seconds, text) in enumerate(RULES):
            if event.dbfs > most_dbfs:
                self._since[index] = None
                continue
            since = self._since[index]
            if since is None:
                self._since[index] = event.position
            elif event.position - since >= seconds * SAMPLING_RATE and not self._said:
                self._said = True
                for output in self._outputs:
                    output.show(Hint(text))
        if event.dbfs > RULES[-1][0]:
            self._said = False

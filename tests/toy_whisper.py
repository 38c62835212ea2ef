"""Trains a toy Whisper that really transcribes digits: ``python -m tests.toy_whisper OUT --dataset-dir DIR``.

It stands in for public weights where the Hub cannot be reached, so that the Whisper backend can be
tested with meaningful transcripts. It has been trained on the digits: its accuracy says nothing
about the zero-shot accuracy of Whisper, and the folder it writes is marked as a fixture.

Training on 30 s windows would take hours. Tied positions make two seconds enough: all encoder
positions from the last real one on share one embedding, so the 1,400 positions of padding are one
and the same token, and attending to it once with a bias of log(1400) equals attending to all.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
from faster_whisper.audio import pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor
from torch.nn import functional
from tqdm import tqdm
from transformers import WhisperForConditionalGeneration
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from benchmarks.against_libraries.random_whisper import (
    NUM_POSITIONS,
    make_model,
    make_tokenizer,
    token_id,
    usual_words,
    write_ctranslate2,
)
from inference.audio import SAMPLING_RATE, decode_audio, resample
from inference.vocabulary import vocabulary

#: The window trained on: 101 encoder positions of two 10 ms frames; the last one stands for all padding.
SHORT_POSITIONS = 101
SHORT_FRAMES = 2 * SHORT_POSITIONS
PADDING_POSITIONS = NUM_POSITIONS - SHORT_POSITIONS + 1
#: Whatever reaches further would touch the position that must be pure padding.
MAX_SAMPLES = (SHORT_FRAMES - 8) * SAMPLING_RATE // 100
FIRST_TRAINING_INDEX = 5  # recordings 0-4 of every speaker and digit are the official test split
AUGMENTED_COPIES = 2
NUM_NON_SPEECH = 600
BATCH_SIZE = 32
PEAK_LEARNING_RATE = 1.5e-3
IGNORED = -100


def main(argv: list[str] | None = None) -> int:
    """Trains and writes the toy; about five minutes on one core."""
    arguments = build_parser().parse_args(argv)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    clips = read_training_clips(arguments.dataset_dir)
    if not clips:
        sys.stderr.write(
            f"error: no training clips named DIGIT_SPEAKER_INDEX.wav in {arguments.dataset_dir}\n"
        )
        return 2
    tokenizer = make_tokenizer()
    features, targets = make_examples(clips, tokenizer, rng)
    model = train(tokenizer, features, targets, arguments.steps, rng)
    note = f"toy Whisper trained on {len(clips)} recordings of digits, for tests: not a zero-shot model."
    write_ctranslate2(stretch(model, tokenizer), tokenizer, arguments.out, note, arguments.quantization)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.toy_whisper", description=__doc__.split(":")[0])
    parser.add_argument("out", type=Path, help="CTranslate2 folder to write")
    parser.add_argument("--dataset-dir", type=Path, required=True, help="{digit}_{speaker}_{index}.wav files")
    parser.add_argument("--steps", type=int, default=3000, help="optimizer steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--quantization", default=None, help="CTranslate2 weight type, such as int8")
    return parser


def read_training_clips(folder: Path) -> list[tuple[str, np.ndarray]]:
    """Reads the label and waveform of every training recording in a folder."""
    clips = []
    for path in sorted(folder.glob("*_*_*.wav")):
        label, _, index = path.stem.split("_")
        if int(index) >= FIRST_TRAINING_INDEX:
            clips.append((label, decode_audio(path)))
    return clips


def make_examples(clips, tokenizer, rng) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and targets of the clips, their augmented copies and stretches without speech.

    Returns:
        Half-precision features ``(num_examples, 80, SHORT_FRAMES)`` and the token wanted after each
        prompt token, ``(num_examples, 5)``.
    """
    extractor = FeatureExtractor()
    english, no_speech, end = (token_id(tokenizer, name) for name in ("en", "nospeech", "endoftext"))
    features, targets = [], []
    for label, waveform in tqdm(clips, desc="features"):
        word = tokenizer.encode(f" {usual_words()[vocabulary().label2id[label]]}").ids[0]
        for copy in range(1 + AUGMENTED_COPIES):
            features.append(short_features(extractor, augment(waveform, rng) if copy else waveform))
            targets.append([english, IGNORED, IGNORED, word, end])
    for _ in range(NUM_NON_SPEECH):
        level = 10 ** rng.uniform(-5, -1.5) if rng.random() < 0.8 else 0.0
        noise = level * rng.standard_normal(rng.integers(SAMPLING_RATE // 5, SAMPLING_RATE))
        features.append(short_features(extractor, noise.astype(np.float32)))
        targets.append([no_speech, IGNORED, IGNORED, IGNORED, IGNORED])
    return torch.from_numpy(np.stack(features)), torch.tensor(targets)


def augment(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another speed, level and noise floor, and up to 0.2 s of silence on each side."""
    speed = rng.uniform(0.9, 1.1)
    waveform = resample(waveform, round(SAMPLING_RATE * speed), SAMPLING_RATE)
    waveform = waveform * 10 ** (rng.uniform(-12, 6) / 20)
    waveform = np.pad(waveform, tuple(rng.integers(0, SAMPLING_RATE // 5, size=2)))
    noise = 10 ** rng.uniform(-5, -3) * rng.standard_normal(waveform.size)
    return np.clip(waveform + noise, -1.0, 1.0).astype(np.float32)


def short_features(extractor: FeatureExtractor, waveform: np.ndarray) -> np.ndarray:
    """The features that ``WhisperModel.transcribe`` makes, in the short window, ``(80, SHORT_FRAMES)``."""
    return pad_or_trim(extractor(waveform[:MAX_SAMPLES])[:, :-1], SHORT_FRAMES).astype(np.float16)


def train(tokenizer, features, targets, num_steps, rng) -> WhisperForConditionalGeneration:
    """Trains the model of ``SHORT_POSITIONS`` positions with teacher forcing."""
    ALL_ATTENTION_FUNCTIONS.register("tied_padding", tied_attention)
    model = make_model(tokenizer, SHORT_POSITIONS, dropout=0.1)
    model.set_attn_implementation("tied_padding")
    prompt = [token_id(tokenizer, n) for n in ("startoftranscript", "en", "transcribe", "notimestamps")]
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=num_steps)
    model.train()
    progress = tqdm(range(num_steps), desc="training")
    for _ in progress:
        chosen = torch.from_numpy(rng.choice(len(features), BATCH_SIZE, replace=False))
        wanted = targets[chosen]
        word = wanted[:, 3:4].clamp(min=0)
        decoder_input = torch.cat([torch.tensor(prompt).expand(BATCH_SIZE, -1), word], dim=1)
        inputs = mask_features(features[chosen].float(), rng)
        logits = model(input_features=inputs, decoder_input_ids=decoder_input).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return model.eval()


def tied_attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **_):
    """Attention in which the last of ``SHORT_POSITIONS`` keys counts ``PADDING_POSITIONS`` times."""
    bias = None
    if key.shape[2] == SHORT_POSITIONS:
        bias = torch.zeros(1, SHORT_POSITIONS)
        bias[0, -1] = math.log(PADDING_POSITIONS)
    causal = bias is None and query.shape[2] > 1
    attended = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, dropout_p=dropout, is_causal=causal, scale=scaling
    )
    return attended.transpose(1, 2).contiguous(), None


def mask_features(features: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Light spectrogram masking (SpecAugment, Park et al. 2019): one band and one stretch per clip."""
    for example in features:
        band, first_bin = rng.integers(0, 8), rng.integers(0, 72)
        duration, first_frame = rng.integers(0, 6), rng.integers(0, 60)
        example[first_bin : first_bin + band] = 0.0
        example[:, first_frame : first_frame + duration] = 0.0
    return features


def stretch(short: WhisperForConditionalGeneration, tokenizer) -> WhisperForConditionalGeneration:
    """The same network for the 30 s window: its further positions repeat the last trained one."""
    model = make_model(tokenizer)
    weights = short.state_dict()
    name = "model.encoder.embed_positions.weight"
    positions = weights[name]
    weights[name] = torch.cat([positions, positions[-1:].expand(NUM_POSITIONS - SHORT_POSITIONS, -1)])
    model.load_state_dict(weights)
    return model


if __name__ == "__main__":
    raise SystemExit(main())

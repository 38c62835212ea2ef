"""A Whisper of 0.4 M parameters with a vocabulary of bytes and ten words, made without a network.

With random weights it exercises every part of the real thing except the meaning of the answer:
tests assert types and plumbing on it, never text. ``tests.toy_whisper`` trains the same model.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from inference.labels import SPOKEN_FORMS

WORDS = tuple(forms[0] for forms in SPOKEN_FORMS.values())
#: Positions of the encoder for 30 s of audio, the only window that Whisper knows.
NUM_POSITIONS = 1500
#: Whisper's special tokens; code that reads them counts on this order.
_CONTROL_TOKENS = (
    "endoftext",
    "startoftranscript",
    "en",
    "translate",
    "transcribe",
    "startoflm",
    "startofprev",
    "nospeech",
    "notimestamps",
)
_TIMESTAMPS = tuple(f"{index * 0.02:.2f}" for index in range(1501))


def token_id(tokenizer: Tokenizer, name: str) -> int:
    """The id of the special token ``<|name|>``."""
    return tokenizer.token_to_id(f"<|{name}|>")


def make_tokenizer(words: Sequence[str] = WORDS, multilingual: bool = True) -> Tokenizer:
    """A byte-level BPE in which " seven" is one token.

    Args:
        words: Words that become one token when a space stands before them.
        multilingual: CTranslate2 calls a model multilingual if the empty string is a token.
    """
    vocabulary = {symbol: index for index, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = []
    for word in words:
        piece = "\u0120"  # how byte-level BPE writes a space
        for letter in word:
            if piece + letter not in vocabulary:
                vocabulary[piece + letter] = len(vocabulary)
                merges.append((piece, letter))
            piece += letter
    vocabulary["" if multilingual else "<|unused|>"] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = [f"<|{name}|>" for name in _CONTROL_TOKENS + _TIMESTAMPS]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def make_model(
    tokenizer: Tokenizer, num_positions: int = NUM_POSITIONS, dropout: float = 0.0, seed: int = 0
) -> WhisperForConditionalGeneration:
    """The network with random weights, and the generation settings that travel with it.

    Args:
        tokenizer: From ``make_tokenizer``.
        num_positions: Encoder positions, two feature frames (20 ms) each.
        dropout: Share of activations dropped in training.
        seed: Of the random weights; the caller's random state stays as it was.
    """
    end = token_id(tokenizer, "endoftext")
    ids = {
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": token_id(tokenizer, "startoftranscript"),
    }
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=64,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        num_mel_bins=80,
        max_source_positions=num_positions,
        max_target_positions=448,
        dropout=dropout,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        **ids,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        suppress_tokens=[],
        begin_suppress_tokens=[tokenizer.encode(" ").ids[0], end],
        no_timestamps_token_id=token_id(tokenizer, "notimestamps"),
        **ids,
    )
    model.generation_config.lang_to_id = {"<|en|>": token_id(tokenizer, "en")}
    model.generation_config.alignment_heads = [[0, 0], [0, 1]]
    return model


def write_ctranslate2(
    model: WhisperForConditionalGeneration,
    tokenizer: Tokenizer,
    folder: Path,
    fixture: str,
    quantization: str | None = None,
) -> Path:
    """Writes the folder that faster-whisper loads, marked as a fixture.

    Args:
        model: From ``make_model``.
        tokenizer: The one the model was made for.
        folder: Created, or overwritten.
        fixture: What the folder holds, kept in its ``fixture.json``.
        quantization: A CTranslate2 weight type such as ``"int8"``; float32 if None.

    Returns:
        ``folder``.
    """
    with tempfile.TemporaryDirectory() as transformers_folder:
        model.save_pretrained(transformers_folder)
        tokenizer.save(f"{transformers_folder}/tokenizer.json")
        # The processor of transformers 5 writes no preprocessor_config.json; the extractor does.
        WhisperFeatureExtractor().save_pretrained(transformers_folder)
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
        Path(transformers_folder, "tokenizer_config.json").write_text(json.dumps(settings))
        converter = TransformersConverter(
            transformers_folder, copy_files=["tokenizer.json", "preprocessor_config.json"]
        )
        converter.convert(str(folder), quantization=quantization, force=True)
    (folder / "fixture.json").write_text(json.dumps({"fixture": fixture}, indent=2) + "\n")
    return folder


def build_tiny_whisper(folder: Path, multilingual: bool = True) -> Path:
    """Writes the tiny Whisper with random weights in CTranslate2 format; returns its folder."""
    tokenizer = make_tokenizer(multilingual=multilingual)
    note = "Whisper architecture with random weights, for tests of the plumbing: its answers mean nothing."
    return write_ctranslate2(make_model(tokenizer), tokenizer, folder, note)

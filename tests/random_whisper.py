"""A Whisper of 0.4 M random weights, made without a network, with a vocabulary of bytes and words.

It exercises every part of the real thing except the meaning of the answer: tests assert types and plumbing
on it, never text.
"""

import json
import tempfile
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

from inference.vocabulary import vocabulary

SIZES = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 256,
    "decoder_ffn_dim": 256,
}
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


def usual_words() -> tuple[str, ...]:
    """The usual spoken form of every label."""
    return tuple(forms[0] for forms in vocabulary().spoken_forms.values())


def token_id(tokenizer: Tokenizer, name: str) -> int:
    """The id of the special token ``<|name|>``."""
    found = tokenizer.token_to_id(f"<|{name}|>")
    assert found is not None, f"the vocabulary has no <|{name}|>"
    return found


def make_tokenizer(multilingual: bool = True) -> Tokenizer:
    """A byte-level BPE in which " seven" and the other words of the vocabulary are one token each.

    Args:
        multilingual: CTranslate2 calls a model multilingual if the empty string is a token.
    """
    tokens = {symbol: index for index, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = []
    for word in usual_words():
        piece = "\u0120"  # how byte-level BPE writes a space
        for letter in word:
            if piece + letter not in tokens:
                tokens[piece + letter] = len(tokens)
                merges.append((piece, letter))
            piece += letter
    tokens["" if multilingual else "<|unused|>"] = len(tokens)
    names = [f"<|{name}|>" for name in _CONTROL_TOKENS + _TIMESTAMPS]
    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def make_model(tokenizer: Tokenizer) -> WhisperForConditionalGeneration:
    """The network with random weights for a vocabulary, and the generation settings that travel with it."""
    end = token_id(tokenizer, "endoftext")
    ids = {
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": token_id(tokenizer, "startoftranscript"),
    }
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        num_mel_bins=80,
        max_source_positions=NUM_POSITIONS,
        max_target_positions=448,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        **SIZES,
        **ids,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
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

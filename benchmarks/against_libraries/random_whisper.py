"""A Whisper with random weights, made without a network: of any size, with a vocabulary of bytes and words.

It exercises every part of the real thing except the meaning of the answer. Tests use one of 0.4 M
parameters and assert types and plumbing on it, never text; timings use one of the public size.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
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

#: Sizes of the network: for tests, and those of the public "tiny" (Radford et al. 2022, table 1).
FIXTURE_SIZES = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 256,
    "decoder_ffn_dim": 256,
}
TINY_SIZES = {
    "d_model": 384,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "encoder_attention_heads": 6,
    "decoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "decoder_ffn_dim": 1536,
}
TINY_VOCABULARY = 51_865
#: Logit of a token that is as good as certain among 50,000 others around zero.
CERTAIN_LOGIT = 30.0
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


def make_tokenizer(
    words: Sequence[str] | None = None, multilingual: bool = True, size: int | None = None
) -> Tokenizer:
    """A byte-level BPE in which " seven" is one token.

    Args:
        words: Words that become one token when a space stands before them; None for the vocabulary's.
        multilingual: CTranslate2 calls a model multilingual if the empty string is a token.
        size: Filled up to this many tokens with words that no text contains.
    """
    tokens = {symbol: index for index, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = []
    for word in words or usual_words():
        piece = "\u0120"  # how byte-level BPE writes a space
        for letter in word:
            if piece + letter not in tokens:
                tokens[piece + letter] = len(tokens)
                merges.append((piece, letter))
            piece += letter
    tokens["" if multilingual else "<|unused|>"] = len(tokens)
    names = [f"<|{name}|>" for name in _CONTROL_TOKENS + _TIMESTAMPS]
    for index in range((size or 0) - len(tokens) - len(names)):
        tokens[f"filler{index}"] = len(tokens)
    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def make_model(
    tokenizer: Tokenizer,
    num_positions: int = NUM_POSITIONS,
    dropout: float = 0.0,
    seed: int = 0,
    sizes: Mapping[str, int] = FIXTURE_SIZES,
) -> WhisperForConditionalGeneration:
    """The network with random weights, and the generation settings that travel with it.

    Args:
        tokenizer: From ``make_tokenizer``.
        num_positions: Encoder positions, two feature frames (20 ms) each.
        dropout: Share of activations dropped in training.
        seed: Of the random weights; the caller's random state stays as it was.
        sizes: Arguments of ``WhisperConfig``.
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
        num_mel_bins=80,
        max_source_positions=num_positions,
        max_target_positions=448,
        dropout=dropout,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        **sizes,
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


def answer_one_word(model: WhisperForConditionalGeneration, tokenizer: Tokenizer, word: str) -> None:
    """Makes random weights say one word with certainty, and then no more, whatever they are given.

    Plain random weights are unsure of everything, and the library would decode them again and again:
    a comparison with that would flatter whoever does not. The positions of the decoder decide what
    comes next: time stamp 0.00 where one is asked for, the word, the end.
    """
    decoder = model.model.decoder
    first_text = len(("startoftranscript", "en", "transcribe"))
    answer = [token_id(tokenizer, "0.00"), tokenizer.encode(f" {word}").ids[0]]
    with torch.no_grad():
        embeddings = decoder.embed_tokens.weight
        end = embeddings[token_id(tokenizer, "endoftext")]
        # The token of padding, too, and therefore made of zeros.
        end.normal_(std=model.config.init_std, generator=torch.Generator().manual_seed(0))
        targets = end.repeat(len(decoder.embed_positions.weight), 1)
        targets[first_text - 1 : first_text + 1] = embeddings[answer]
        decoder.embed_positions.weight.copy_(100.0 * targets)
        # The product of a normalised state with the embedding of its target.
        decoder.layer_norm.weight.fill_(CERTAIN_LOGIT / (model.config.init_std * model.config.d_model))

"""A full-size Wav2Vec2 with random weights: it takes the time of a real one, and knows nothing."""

from pathlib import Path

from inference.vocabulary import vocabulary

NAME = "wav2vec2-base-random"


def write_random_base(folder: Path) -> None:
    """Writes a checkpoint of the architecture of ``facebook/wav2vec2-base`` that the backend can load."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

    torch.manual_seed(0)
    words = vocabulary()
    config = Wav2Vec2Config(num_labels=len(words.labels), id2label=words.id2label, label2id=words.label2id)
    Wav2Vec2ForSequenceClassification(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)

"""Names of the files in which a checkpoint says what it learned from."""

CARD_NAME = "split_card.json"
TRAIN_CLIPS_NAME = "train_clips.txt"
TRAIN_HASHES_NAME = "train_hashes.txt"

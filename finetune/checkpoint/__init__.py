"""What travels with a model: split card, calibration, model card, and the one writer of the folder."""

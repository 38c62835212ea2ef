"""The fine-tuning loop: options, model, data, trainer, resumption, tracking, series of runs."""

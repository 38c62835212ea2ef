"""Everything that learns from training clips: corpora, splits, fine-tuning and small baselines."""

import inference as inference  # keeps libraries from phoning home: see there

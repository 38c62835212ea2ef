"""The metrics of this project as one module of the ``evaluate`` library, loaded without the Hub.

from finetune.evaluate_metric import SpokenDigits
SpokenDigits().compute(predictions=probabilities, references=label_ids)
"""

import datasets
import evaluate
import numpy as np

from finetune.metrics import accuracy, calibration_error, macro_f1, roc_auc

_DESCRIPTION = "Accuracy, macro F1, one-against-rest ROC area and calibration error of class probabilities."


class SpokenDigits(evaluate.Metric):
    """Takes one row of class probabilities and one label id per clip."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description="predictions: probabilities per class; references: label ids.",
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(self, predictions: list[list[float]], references: list[int]) -> dict[str, float]:
        probabilities, label_ids = np.asarray(predictions), np.asarray(references)
        answers = probabilities.argmax(axis=1).tolist()
        return {
            "accuracy": accuracy(answers, label_ids.tolist()),
            "macro_f1": macro_f1(answers, label_ids.tolist()),
            "roc_auc": roc_auc(probabilities, label_ids),
            "calibration_error": calibration_error(probabilities, label_ids),
        }

"""Where curves and figures are reported: TensorBoard, MLflow, Weights & Biases or trackio.

The Trainer has reporters of its own; ``prepare_trackers`` gives both them and ``tracked`` the same place.
"""

import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from inference.errors import UserError

PROJECT = "spoken-digits"
TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
#: Where each reporter looks when the user has not said otherwise: one local database for all runs.
DEFAULT_PLACES = {
    "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    "MLFLOW_EXPERIMENT_NAME": PROJECT,
    "WANDB_PROJECT": PROJECT,
}

Report = Callable[[Mapping[str, float], int], None]


def prepare_trackers(names: Sequence[str]) -> None:
    """Checks that reporters can be had and fills in where they report to.

    Args:
        names: Some of ``TRACKERS``, or other reporters that the Trainer knows.

    Raises:
        UserError: If one is unknown or its package is not installed.
    """
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            raise UserError(f"--report_to {name} is unknown; choose from: {', '.join(TRACKERS)}, none.")
        if name in TRACKERS and importlib.util.find_spec(name) is None:
            raise UserError(
                f"--report_to {name} needs the package {name}, which is not installed: pip install {name}"
            )
    for variable, value in DEFAULT_PLACES.items():
        os.environ.setdefault(variable, value)


@contextmanager
def tracked(names: Sequence[str], folder: Path, settings: Mapping[str, object]) -> Iterator[Report]:
    """Opens reporters for a model that the Trainer does not train.

    Args:
        names: Some of ``TRACKERS``; none for a report that goes nowhere.
        folder: The run's folder; its path is the run's name. MLflow keeps a copy of what lies there, and
            registers it as a model under the folder's name.
        settings: What distinguishes the run: model, seed, hyper-parameters.

    Yields:
        ``report(values, step)``.

    Raises:
        UserError: If a reporter is unknown or its package is not installed.
    """
    unknown = sorted(set(names) - set(TRACKERS))
    if unknown:
        raise UserError(f"--report_to {' '.join(unknown)} is unknown; choose from: {', '.join(TRACKERS)}.")
    prepare_trackers(names)
    if not names:
        yield lambda values, step: None
        return
    from accelerate import Accelerator

    accelerator = Accelerator(log_with=list(names), project_dir=folder, cpu=True)
    run_names = {"mlflow": {"run_name": str(folder)}, "wandb": {"name": str(folder)}}
    known = (bool, int, float, str)
    config = {name: value if isinstance(value, known) else str(value) for name, value in settings.items()}
    # TensorBoard takes the project for the name of a sub-folder; "runs" is the Trainer's.
    project = "runs" if list(names) == ["tensorboard"] else PROJECT
    accelerator.init_trackers(project, config=config, init_kwargs=run_names)
    try:
        yield lambda values, step: accelerator.log(
            {re.sub(r"[^\w./ -]", "", name): value for name, value in values.items()}, step
        )
        if "mlflow" in names and folder.is_dir():
            import mlflow

            mlflow.log_artifacts(str(folder), "checkpoint")
            # A fold is for a table and not for use.
            if not settings.get("fold"):
                _register(folder.name)
    finally:
        accelerator.end_training()


def _register(name: str) -> None:
    """Makes the checkpoint of the run at hand the newest version of a model.

    ``mlflow.register_model`` takes only what MLflow itself has packed.
    """
    import mlflow

    client, run = mlflow.MlflowClient(), mlflow.active_run()
    assert run
    with suppress(mlflow.MlflowException):  # there is one of that name
        client.create_registered_model(name)
    client.create_model_version(name, mlflow.get_artifact_uri("checkpoint"), run.info.run_id)

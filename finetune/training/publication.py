"""Uploads a finished checkpoint, with its card, to the Hugging Face Hub."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError

from finetune.training.arguments import FineTuningArguments
from inference.errors import UserError

#: What going on needs, and what belongs to this machine.
LEFT_OUT = ("checkpoint-*", ".runtimes/*")


def upload_checkpoint(folder: Path, repo_id: str, training: FineTuningArguments) -> None:
    """Uploads the folder in one commit. The Trainer's own upload would replace the card by a draft.

    Args:
        folder: The finished checkpoint.
        repo_id: Where the Trainer made the repository, ``owner/name``.
        training: Token and revision.

    Raises:
        UserError: If the Hub does not take it; the folder stays as it is.
    """
    try:
        HfApi(token=training.hub_token).upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message="Checkpoint and card",
            ignore_patterns=list(LEFT_OUT),
            revision=training.hub_revision,
        )
    except (HTTPError, OSError) as error:
        excluded = " ".join(f'--exclude "{pattern}"' for pattern in LEFT_OUT)
        raise UserError(
            f"{folder} is complete, but {repo_id} did not take it ({error}). Upload it later: "
            f"hf upload {repo_id} {folder} {excluded}"
        ) from error

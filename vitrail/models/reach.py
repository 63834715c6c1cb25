"""Whether pretrained weights can be had here and now, asked within seconds."""

import threading
import urllib.parse
from contextlib import suppress
from dataclasses import dataclass

import huggingface_hub
from huggingface_hub import constants, errors

from vitrail.models.sources import CLIENT_FAULT, CONNECT_SECONDS, IN_FOLDER, checked_architecture


@dataclass(frozen=True)
class Reach:
    """Whether weights are within reach, and a clause that says why."""

    reached: bool
    why: str


def reach_of(name: str) -> Reach:
    """Whether the weights of a timm model lie in the local cache, or the hub would give them.

    Nothing is downloaded. Where `HF_HUB_OFFLINE` is set, the network is not touched; elsewhere it is given
    `CONNECT_SECONDS` in all, looking up the host's name included.

    Args:
        name: a timm name whose weights are on the hub.
    """
    described = checked_architecture(name)
    repository, filename = described["hf_hub_id"], described["hf_hub_filename"]
    filenames = (filename,) if filename else IN_FOLDER
    if any(isinstance(huggingface_hub.try_to_load_from_cache(repository, each), str) for each in filenames):
        return Reach(True, "its weights are on this machine")
    if constants.HF_HUB_OFFLINE:
        return Reach(False, "HF_HUB_OFFLINE is set")
    url = huggingface_hub.hf_hub_url(repository, filenames[0])
    reached = _answers(url)
    return Reach(reached, f"{urllib.parse.urlsplit(url).hostname} {'answers' if reached else 'does not answer'}")


def _answers(url: str) -> bool:
    """Asked in a thread of its own: the system may look for a host's name longer than anyone wants to wait."""
    answers: list[str | None] = []

    def ask() -> None:
        with suppress(errors.HfHubHTTPError, CLIENT_FAULT, OSError):
            answers.append(huggingface_hub.get_hf_file_metadata(url, timeout=CONNECT_SECONDS).etag)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(CONNECT_SECONDS)
    return bool(answers)

"""Keys: who may predict, and who may see figures and change what serves. Compared in constant time."""

import base64
import binascii
import hmac
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from vitrail.basics.errors import InputError
from vitrail.serving.refusals import Refusal

Right = Literal["predict", "administer"]

LEAST_CHARACTERS = 16
_HINT = "send it as `Authorization: Bearer KEY`; a browser asks for it as a password"


class Keys:
    """The keys of a server; a file of keys is read again when it changes, so that one can be revoked at once.

    Whoever may administer may also predict. Where no key is set for a right, everybody who reaches the server has it.

    Args:
        predict, administer: a file with a key a line, or None.
        environment: `VITRAIL_PREDICT_KEY` and `VITRAIL_ADMIN_KEY` are keys, too.

    Raises:
        InputError: a file cannot be read, or a key is so short that it can be guessed.
    """

    def __init__(self, predict: Path | None, administer: Path | None, environment: Mapping[str, str]) -> None:
        self._files: dict[Right, Path | None] = {"predict": predict, "administer": administer}
        names: dict[Right, str] = {"predict": "VITRAIL_PREDICT_KEY", "administer": "VITRAIL_ADMIN_KEY"}
        self._fixed = {
            right: _checked([environment[name]], name) for right, name in names.items() if name in environment
        }
        self._read: dict[Right, tuple[tuple[int, int], tuple[bytes, ...]]] = {}
        for right in self._files:
            self._of(right)

    def needed_for(self, right: Right) -> bool:
        """Whether a key is set for it; one for administration guards nothing else."""
        return self._files[right] is not None or right in self._fixed

    @property
    def are_in_files(self) -> bool:
        """Whether a file is looked at whenever somebody comes."""
        return any(self._files.values())

    def refuse_stranger(self, right: Right, headers: Mapping[str, str]) -> None:
        """Let pass only whoever has the right.

        Raises:
            Refusal: there is no key, or a wrong one.
        """
        if not self.needed_for(right):
            return
        given = _given_key(headers)
        if given is None:
            raise Refusal("unauthorised", "a key is needed", hint=_HINT)
        try:
            accepted = [*self._of("administer"), *(self._of("predict") if right == "predict" else ())]
        except InputError:  # it names a file, which is nobody's business here
            raise Refusal("unavailable", "the keys of this server cannot be read", retry_after=5) from None
        # All are compared, so that the time does not tell which one nearly fits.
        if not sum([hmac.compare_digest(given, key) for key in accepted]):
            raise Refusal("unauthorised", "the key is not known", hint=_HINT)

    def _of(self, right: Right) -> tuple[bytes, ...]:
        file, fixed = self._files[right], self._fixed.get(right, ())
        if file is None:
            return fixed
        try:
            state = file.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            known = self._read.get(right)
            if known is None or known[0] != stamp:
                lines = file.read_text(encoding="utf-8").split()
                checked = _checked(lines, str(file))
                _refuse_open_file(file, state.st_mode)
                self._read[right] = known = (stamp, checked)
        except (OSError, UnicodeDecodeError) as error:
            if right in self._read:  # unreadable for now: nobody gets in who had no key, and nobody loses one
                return (*self._read[right][1], *fixed)
            raise InputError(f"the keys in {file} cannot be read: {error}", hint="a key a line") from error
        return (*known[1], *fixed)


def _given_key(headers: Mapping[str, str]) -> bytes | None:
    scheme, _, said = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return said.strip().encode("utf-8", "replace")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(said.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    key = headers.get("x-api-key")
    return None if key is None else key.encode("utf-8", "replace")


def _checked(keys: list[str], where: str) -> tuple[bytes, ...]:
    for key in keys:
        if len(key) < LEAST_CHARACTERS:
            raise InputError(
                f"a key in {where} has {len(key)} characters, {LEAST_CHARACTERS} at least were expected",
                hint="python -c 'import secrets; print(secrets.token_urlsafe())' makes one",
            )
    if not keys:
        raise InputError(f"there is no key in {where}", hint="a key a line")
    return tuple(key.encode() for key in keys)


def _refuse_open_file(file: Path, mode: int) -> None:
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO) & ~stat.S_IRGRP:
        raise InputError(f"{file} holds keys and may be read by everybody", hint=f"chmod 600 {file}")

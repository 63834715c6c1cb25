"""Who answers whom: a user's arm, computed from nothing but the routes and the user's id.

No table is kept and no state: the same user has the same arm in every process, after every restart, on every machine.

The rule, so that anybody can compute it again. `h(text)` is the SHA-256 of the salt, a zero byte and the text, all as
UTF-8; its first 8 bytes are a number, most significant first.

- A user's *place* is the first 53 bits of `h(user id)`, over 2^53: in [0, 1).
- A canary with share s has the users with place < s, a control with share s those with place >= 1 - s: both grow from
  the ends, so that raising a share moves users into that arm, and nobody else.
- The rest is divided among the stable arms by weighted rendezvous hashing (Thaler and Ravishankar, A Name-Based Mapping
  Scheme for Rendezvous, 1996; weights as in Schindelhauer and Schomaker, Weighted Distributed Hash Tables, 2005): the
  arm with the largest -weight / ln(u) has the user, u being the first 52 bits of `h(arm's name, a zero byte, user id)`,
  plus a half, over 2^52. Raising one weight moves users only to that arm.
"""

import hashlib
import math
from random import Random

from vitrail.basics.errors import InputError
from vitrail.traffic.routes import FIRST, Arm, Routes


def assigned_arm(routes: Routes, user_id: str | None, random: Random) -> Arm:
    """The arm that answers a request.

    Args:
        routes: the revision that is served.
        user_id: whatever names the user, compared as it is; None or an empty text: nobody is named, and the routes say
            whether an arm is drawn by its share or the first stable one answers.
        random: what such an arm is drawn with.

    Raises:
        InputError: the id is no text that UTF-8 can hold.
    """
    if user_id:
        key = _encoded(user_id, "a user id")
    elif routes.anonymous == FIRST:
        return next(arm for arm in routes.arms if arm.weight > 0)
    else:
        key = random.randbytes(16)
    salted = routes.salt.encode() + b"\0"
    place = _place(salted + key)
    for arm in routes.arms:
        if (arm.role == "canary" and place < arm.share) or (arm.role == "control" and place >= 1 - arm.share):
            return arm
    stable = [arm for arm in routes.arms if arm.weight > 0]
    if len(stable) == 1:
        return stable[0]
    return max(stable, key=lambda arm: -arm.weight / math.log(_fraction(salted + arm.name.encode() + b"\0" + key)))


def shadow_arms(routes: Routes, request_id: str) -> list[Arm]:
    """The shadow arms that get a copy of a request, each drawn for itself by its share.

    Args:
        routes: the revision that is served.
        request_id: what the copy's answer is paired by; the same one is copied to the same arms wherever it is asked.

    Raises:
        InputError: the id is no text that UTF-8 can hold.
    """
    shadows = [arm for arm in routes.arms if arm.role == "shadow"]
    if not shadows:
        return []
    salted, key = routes.salt.encode() + b"\0", _encoded(request_id, "a request id")
    return [arm for arm in shadows if _place(salted + arm.name.encode() + b"\0" + key) < arm.share]


def _place(content: bytes) -> float:
    """In [0, 1), exact: a float holds 53 bits."""
    return (_first_number(content) >> 11) / 2**53


def _fraction(content: bytes) -> float:
    """In (0, 1), exact: neither end is reached, so that its logarithm is below 0."""
    return ((_first_number(content) >> 12) + 0.5) / 2**52


def _first_number(content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{what} holds half a character: {text[:40]!a}", hint="send it as UTF-8") from None

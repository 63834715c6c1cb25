"""Models that raise, hang, are killed or cannot be loaded, and servers that are ended: nobody is left without a word."""

import base64
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.serving import (
    Burden, Neighbour, Reply, Server, at_once, children_of, file_of, is_there, reply_on, serving, small_package,
    until_as_before,
)  # fmt: skip
from vitrail.serving.assignment import assigned_arm
from vitrail.serving.routes import Arm, Routes

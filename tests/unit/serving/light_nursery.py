"""A nursery that has imported nothing, whose children do as their name says: for tests of how processes are begun."""

import os
import random
import socket
import sys
import threading
import time

import numpy as np

from vitrail.serving.nursery_process import nurse


def grow(connection: socket.socket, name: str) -> None:
    """Say who it is, then end as the name says, or when nobody is at the other end any more."""
    told = [str(random.random()), str(np.random.random()), str(len(os.listdir("/proc/self/fd")) - 1)]
    connection.send(" ".join(told).encode())
    if name == "raises":
        raise ValueError("as it was asked to")
    if name == "ends":
        os._exit(7)
    connection.recv(1)


if __name__ == "__main__":
    match os.environ.get("LIGHT_NURSERY"):
        case "thread":
            threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        case "silent":
            time.sleep(100)
    nurse(socket.socket(fileno=int(sys.argv[1])), grow)

import os
import socket

import pytest

from vitrail.basics.files import IrregularFileError, regular_file


def pipe(path):
    os.mkfifo(path)


def link_to_a_device(path):
    path.symlink_to("/dev/zero")


def link_to_a_pipe(path):
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def listening(path):
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


@pytest.mark.parametrize(
    ("made", "kind"),
    [(pipe, "a named pipe"), (link_to_a_device, "a device"), (link_to_a_pipe, "a named pipe"), (listening, "a socket")],
)
def test_what_is_no_file_is_refused_at_once(made, kind, tmp_path):
    path = tmp_path / "a.png"
    made(path)
    with pytest.raises(IrregularFileError, match=f"is {kind}, not a file"), regular_file(path):
        pass


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"there")
    opened = os.open

    def swapping(name, *arguments):
        path.unlink()
        os.mkfifo(path)
        return opened(name, *arguments)

    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(IrregularFileError), regular_file(path):
        pass


def test_a_folder_is_a_folder_and_a_file_is_read(tmp_path):
    with pytest.raises(IsADirectoryError), regular_file(tmp_path):
        pass
    (tmp_path / "a").write_bytes(b"content")
    with regular_file(tmp_path / "a") as file:
        assert file.read() == b"content"

import threading
import warnings

import pytest

from vitrail.basics.quiet import quiet


def test_only_what_was_named_is_silenced_and_only_within_the_block():
    with quiet(FutureWarning, message="old ways"):
        warnings.warn("old ways end", FutureWarning, stacklevel=1)
        with pytest.raises(FutureWarning, match="new"):
            warnings.warn("new ways", FutureWarning, stacklevel=1)
        with pytest.raises(UserWarning):
            warnings.warn("old ways end", UserWarning, stacklevel=1)
    with pytest.raises(FutureWarning):
        warnings.warn("old ways end", FutureWarning, stacklevel=1)


def test_threads_that_overlap_keep_their_silence_and_leave_the_filters_as_they_were():
    before = list(warnings.filters)
    first_is_in, second_is_in = threading.Event(), threading.Event()
    heard: list[Warning] = []

    def first():
        with quiet(UserWarning):
            first_is_in.set()
            second_is_in.wait(5)

    def second():
        first_is_in.wait(5)
        with quiet(FutureWarning):
            second_is_in.set()
            one.join(5)
            try:
                warnings.warn("still silent", FutureWarning, stacklevel=1)
            except FutureWarning as warning:
                heard.append(warning)

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    two.start()
    two.join(10)
    assert heard == []
    assert list(warnings.filters) == before

"""What a server may count on, and no line of `vitrail` is touched for it: a predictor answers many threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import vitrail
from tests.conftest import picture
from tests.unit.models.test_package import built_model, contents
from vitrail.models.package import write_package

THREADS = 8


def test_eight_threads_predict_at_once_and_get_what_one_gets(tmp_path):
    write_package(tmp_path / "package", built_model(), contents=contents())
    one, prepared, fresh = (vitrail.load(tmp_path / "package", device="cpu") for _ in range(3))
    pictures = [picture(seed) for seed in range(12)]
    pixels = np.stack([one.pixels(each) for each in pictures])
    started = threading.Barrier(THREADS)

    def everything_it_says(predictor, number):
        mine = slice(number, number + 5)
        streamed = list(predictor.answers(iter(pictures[mine]), batch_size=4))
        at_once = predictor.answers_of(pixels[mine])
        said = [each.tobytes() for answers in (*streamed, at_once) for each in (answers.logits, answers.features)]
        return [*said, predictor.predict(pictures[number])]

    def with_others(asked):
        started.wait()
        return everything_it_says(*asked)

    alone = [everything_it_says(one, number) for number in range(THREADS)]
    for many in (prepared.prepare(pictures), fresh):
        with ThreadPoolExecutor(THREADS) as pool:
            assert list(pool.map(with_others, [(many, number) for number in range(THREADS)])) == alone

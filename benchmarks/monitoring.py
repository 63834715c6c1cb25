"""What live figures cost: counting beside prometheus_client's, windows of an hour, truths, and what a keeper takes.

usage: python -m benchmarks.monitoring [--json] [--only NAME …] [--repeats 1] [--smoke]

Parts: `counting` (microseconds an image, in turns with a counter and a histogram of prometheus_client), `looking`
(milliseconds for a window and a chart of a full hour, megabytes), `truths` (100,000 of them), `keeping` (rounds of a
keeper with a SQLite file, and with PostgreSQL where `VITRAIL_BENCH_POSTGRES` is its URL).
"""

from benchmarks.monitoring_parts.counting import counting, looking
from benchmarks.monitoring_parts.keeping import keeping, truths
from benchmarks.parts import run_parts

PARTS = {"counting": counting, "looking": looking, "truths": truths, "keeping": keeping}

if __name__ == "__main__":
    run_parts(PARTS, description=__doc__)

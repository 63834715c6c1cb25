import subprocess
import sys


def test_measures_and_pages_load_neither_torch_nor_the_slow_parts_of_scipy() -> None:
    program = (
        "import sys; import vitrail.measures.ranking, vitrail.measures.per_class, vitrail.measures.calibration;"
        "import vitrail.measures.anytime_counts, vitrail.measures.paired_sequence, vitrail.measures.sample_ratio;"
        "import vitrail.measures.classification, vitrail.pages.frame, vitrail.pages.plots, vitrail.pages.thumbnails;"
        "print([name for name in ('torch', 'sklearn', 'pandas', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "older_ways.md").read_text()


def test_the_code_of_the_page_on_older_ways_runs(capsys) -> None:
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    for block in blocks:
        exec(compile(block, "docs/older_ways.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "replacing what runs behind 'layer3' by nn.Identity does not give that node" in printed
    assert "route graph: 'flatten' is an operation, not a module" in printed
    assert len(blocks) == 6

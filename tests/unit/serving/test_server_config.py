from pathlib import Path

import pytest

from vitrail.basics.errors import InputError, SettingsError, SystemFault
from vitrail.serving import server_config
from vitrail.serving.server_config import read_server_config


@pytest.fixture
def here(tmp_path, monkeypatch):
    for place in ("conf/runs/ants/package", "conf/runs/bees/package"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(text, name="conf/serve.yaml"):
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_server_config(Path(name))


ANTS = "models: [runs/ants/package]\n"


def test_the_example_of_the_documentation_is_read(here):
    example = server_config.__doc__.split("```yaml\n")[1].split("```")[0]
    read = config(example)
    assert [(each.model, each.folder.resolve(), each.weight) for each in read.models.packages] == [
        ("ants", here / "conf/runs/ants/package", 80.0),
        ("candidate", here / "conf/runs/bees/package", 20.0),
    ]
    assert (read.models.fallback, read.models.anonymous, read.models.salt) == (("ants",), "by weight", "vitrail")
    assert read.settings == {"port": 8000}


def test_a_package_may_be_written_as_on_the_command_line(here):
    read = config("models: [runs/ants/package=3, runs/bees/package=1]")
    assert [(each.model, each.weight) for each in read.models.packages] == [("ants", 3.0), ("bees", 1.0)]


def test_absolute_paths_are_left_as_they_are(here):
    read = config(f"models: [{here}/conf/runs/ants/package]", name="serve.yaml")
    assert read.models.packages[0].folder == here / "conf/runs/ants/package"


def test_a_name_that_was_chosen_is_not_given_to_another(here):
    read = config("models: [runs/ants/package, {package: runs/bees/package, name: ants}]")
    assert [each.model for each in read.models.packages] == ["ants-2", "ants"]


def test_lists_of_settings_are_taken(here):
    assert config(ANTS + "formats: [PNG, DICOM]\nmemory_gb: 2.5\n").settings == {
        "formats": ["PNG", "DICOM"], "memory_gb": 2.5}  # fmt: skip


IN = "conf/serve.yaml"
BRACKETS = "hint: write it in brackets: [first, second]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "None was given as a configuration of a server"),
        ("port: 1", "a configuration of a server without models"),
        ("model: []", "'model' is no part of a configuration of a server\nhint: did you mean models?"),
        (ANTS + "prot: 1", "'prot' is no part of a configuration of a server\nhint: did you mean port?"),
        (ANTS + "limits: {most_images: 3}", "'limits' is no part of a configuration of a server\nhint: "),
        (ANTS + "5: 1", "5 is no part of a configuration of a server"),
        ("models: runs/ants/package", f"models is 'runs/ants/package', a list was expected\n{BRACKETS}"),
        ("models: []", "no package to serve was given"),
        ("models: [5]", "5 was given as a model\nhint: a mapping with package, weight, name"),
        ("models: [{weight: 5}]", "a model without package"),
        ("models: [{package: runs/ants/package, wieght: 5}]",
         "'wieght' is no part of a model\nhint: did you mean weight?"),
        ("models: [{package: runs/ants/package, weight: '5'}]",
         "the weight of runs/ants/package is '5', a number was expected"),
        ("models: [{package: runs/ants/package, weight: yes}]",
         "the weight of runs/ants/package is True, a number was expected"),
        ("models: [{package: runs/ants/package, weight: .nan}]", "line 1: .nan is not how a number is written here"),
        ("models: [{package: runs/ants/package, name: no}]",
         "the name of runs/ants/package is False, a text was expected\nhint: write it in quotes"),
        ("models: [{package: runs/ants/package, name: a/b}]", "the name of a model is 'a/b'"),
        ("models: [{package: runs/ants/package, name: x}, {package: runs/bees/package, name: x}]",
         "two models are called x\nhint: give each its own name"),
        ("models: [runs/ant/package]", "runs/ant/package: no such package folder"),
        (ANTS + "fallback: [ant]", "the fallback 'ant' is no model of these routes\nhint: did you mean ants?"),
        (ANTS + "fallback: ants", f"fallback is 'ants', a list was expected\n{BRACKETS}"),
        (ANTS + "anonymous: second", "anonymous traffic goes 'second'\nhint: known: by weight, first"),
        (ANTS + "salt: 2026-01-01", "salt is datetime.date(2026, 1, 1), a text was expected\nhint: write it in quotes"),
        (ANTS + "port: 70000", "a setting is wrong:\n  - port: Input should be less than or equal to 65535, got 70000"),
        (ANTS + "port: yes", "port is yes, which is neither a number nor a text\nhint: port: 0: one that is free."),
        (ANTS + "port: [1]", "a setting is wrong:\n  - port: Input should be a valid integer, got [1]"),
        (ANTS + "port: .inf", "line 2: .inf is not how a number is written here"),
    ],
)  # fmt: skip
def test_what_a_file_says_wrongly_is_told_with_the_files_name(here, text, said):
    with pytest.raises(InputError) as refused:
        config(text)
    assert str(refused.value).startswith((f"{IN}: {said}", f"{IN}, {said}")), str(refused.value)


def test_a_setting_out_of_range_stays_an_error_of_settings(here):
    with pytest.raises(SettingsError):
        config(ANTS + "port: 70000")


BOMB = "a: &a [x, x]\n" + "".join(f"{n}: &{n} [*{b}, *{b}]\n" for b, n in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ANTS + "port: 1\nport: 2\n", ", line 3: 'port' stands here twice"),
        (BOMB, ", line 1: anchors and aliases are not taken"),
        ("a: *b", ", line 1: anchors and aliases are not taken"),
        (ANTS + "port: 010\n", ", line 2: 010 is not how a number is written here"),
        (ANTS + "drain_seconds: 1:30\n", ", line 2: 1:30 is not how a number is written here"),
        (ANTS + "salt: 2026-99-99\n", " is not YAML: month must be in 1..12"),
        ("models: [", ", line 1: expected the node content, but found '<stream end>'"),
        ("? [a, b]\n: 1\n", ", line 1: a name was expected"),
        ("a: !!python/object/apply:os.system ['true']", ", line 1: could not determine a constructor for the tag"),
        ("a: 1\n---\nb: 2\n", ", line 2: but found another document"),
        ("[" * 20_000, " is nested too deeply"),
        (b"a: \xff", " is not YAML: "),
        ("a: \x07", " is not YAML: unacceptable character #x0007"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(here, text, said):
    with pytest.raises(InputError) as refused:
        config(text)
    assert str(refused.value).startswith(f"{IN}{said}"), str(refused.value)
    assert str(refused.value).endswith("\nhint: see the example in `vitrail serve --help`")


def test_a_file_of_more_than_a_megabyte_is_not_read(here):
    with pytest.raises(InputError, match=r"serve\.yaml has more than 1,000,000 bytes\nhint: a file of a few lines"):
        config("#" * 1_000_001)


def test_what_is_no_file_is_refused(here):
    for place, said in (("none.yaml", "none.yaml: no such file"), ("conf", "conf is no file")):
        with pytest.raises(InputError) as refused:
            read_server_config(Path(place))
        assert str(refused.value) == f"{said}\nhint: a YAML file with the models to serve was expected"


def test_a_file_that_may_not_be_read_is_the_machines_fault(here, monkeypatch):
    Path("serve.yaml").symlink_to("serve.yaml")
    with pytest.raises(SystemFault, match=r"serve\.yaml cannot be read: Too many levels of symbolic links"):
        read_server_config(Path("serve.yaml"))

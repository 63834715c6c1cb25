import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from vitrail.measures.learning_curve import analyse_learning_curve, curve_measures
from vitrail.measures.paired import compare_losses
from vitrail.measures.transfer import transfer_gain
from vitrail.pages.curves import MOST_POINTS, PLOT_HEIGHT, Band, Mark, Series, curve_svg, gain_plot, training_plots
from vitrail.pages.frame import render_page

NASTY = '<script>alert("1")</script> & "co"'


def line(values: list[float] | np.ndarray, name: str = "loss") -> Series:
    return Series(name, np.arange(1.0, len(values) + 1), np.array(values, dtype=np.float64))


def drawn(*series: Series, **settings: Any) -> ElementTree.Element:
    return ElementTree.fromstring(curve_svg(series, title="Loss", x_label="epoch", y_label="nats", **settings))


def paths(svg: ElementTree.Element, kind: str) -> list[str]:
    """Of each line: the legend's sample first, then the line itself."""
    return [path.get("d") for path in svg.iter("path") if path.get("class") == kind]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def words(svg: ElementTree.Element, kind: str = "name") -> list[str]:
    return [text.text for text in svg.iter("text") if text.get("class") == kind]


def test_values_stand_where_the_ticks_say() -> None:
    svg = drawn(line([0.8, 0.4, 0.2]))
    ticks = {text.text: float(text.get("y")) - 4 for text in svg.iter("text") if text.get("text-anchor") == "end"}
    assert list(ticks) == ["0.0", "0.2", "0.4", "0.6", "0.8"]
    numbers = {text.text: float(text.get("x")) for text in svg.iter("text") if text.text in ("1", "2", "3")}
    expected = [(numbers[f"{x}"], ticks[y]) for x, y in ((1, "0.8"), (2, "0.4"), (3, "0.2"))]
    assert points(paths(svg, "line-0")[1]) == [pytest.approx(place, abs=0.1) for place in expected]
    assert ticks["0.0"] - ticks["0.8"] == pytest.approx(PLOT_HEIGHT)


def test_losses_are_drawn_from_zero_and_shares_over_the_range_they_have() -> None:
    assert "0.0" in words(drawn(line([0.9, 0.8])))
    assert [word for word in words(drawn(line([0.92, 0.97]), percent=True)) if "%" in word] == [
        *("92 %", "93 %", "94 %", "95 %", "96 %", "97 %")
    ]


def test_it_says_in_words_what_it_draws() -> None:
    svg = drawn(line([0.7, 0.2, 0.3], "validation loss"), line([np.nan] * 3, "x"), marks=[Mark(2, "chosen: epoch 2")])
    assert svg.find("title").text == "Loss"
    assert svg.find("desc").text == (
        "validation loss: 0.700 at epoch 1, 0.300 at epoch 3, from 0.200 to 0.700. x: not measured. chosen: epoch 2."
    )


def test_lines_differ_by_their_dashes_and_not_by_colour_alone() -> None:
    svg = drawn(*(line([k, k + 1.0], f"line {k}") for k in range(4)))
    looks = {
        path.get("class"): path.get("stroke-dasharray") for path in svg.iter("path") if path.get("stroke-dasharray")
    }
    assert len(looks) == 4 == len(set(looks.values()))
    assert [word for word in words(svg) if word.startswith("line")] == [f"line {k}" for k in range(4)]


def test_one_epoch_is_a_dot() -> None:
    svg = drawn(line([0.5]), bands=[Band(1, 1, "head")])
    assert len(list(svg.iter("circle"))) == 1
    assert {"1", "head"} <= set(words(svg))


def test_a_gap_is_left_open_and_a_lone_value_in_it_still_seen() -> None:
    svg = drawn(line([0.5, 0.4, np.nan, 0.3, np.inf, 0.2, 0.1]))
    path = paths(svg, "line-0")[1]
    assert re.sub(r"[\d. ]", "", path) == "MLMML"
    (dot,) = svg.iter("circle")
    assert (float(dot.get("cx")), float(dot.get("cy"))) == points(path)[2]


def test_nothing_measured_is_an_empty_frame() -> None:
    for series in (line([]), line([np.nan, np.nan])):
        svg = drawn(series)
        assert paths(svg, "line-0")[1] in (None, "")
        assert svg.find("desc").text == "loss: not measured."


def test_a_thousand_epochs_are_thinned_without_losing_a_peak_an_end_or_a_gap() -> None:
    values = 1 / np.arange(1.0, 1001)
    values[456], values[457], values[700:720] = 2.5, 0.0, np.nan
    whole, path = curve_svg([line(values)], title="Loss", y_label="nats"), ""
    path = paths(ElementTree.fromstring(whole), "line-0")[1]
    places = points(path)
    assert len(places) <= MOST_POINTS + 2 and len(whole) < 12_000
    assert path.count("M") == 2
    few = points(paths(drawn(line([2.5, 0.0])), "line-0")[1])
    assert {few[0][1], few[1][1]} <= {y for _, y in places}
    known = drawn(line([1.0] * 1000))
    assert [places[0][0], places[-1][0]] == [points(paths(known, "line-0")[1])[end][0] for end in (0, -1)]
    assert places == sorted(places, key=lambda place: place[0])


def test_marks_stand_on_their_epoch_and_their_words_never_overlap() -> None:
    marks = [Mark(20, "chosen: epoch 20"), Mark(21, "loss rises from epoch 21"), Mark(40, "the end of it all")]
    svg = drawn(line(np.linspace(1, 0, 40)), marks=marks)
    places = points(paths(svg, "line-0")[1])
    lines = [float(re.match(r"M([\d.]+)", path)[1]) for path in paths(svg, "mark")]
    assert lines == [places[19][0], places[20][0], places[39][0]]
    labels = [
        (text.text, float(text.get("x")), float(text.get("y")))
        for text in svg.iter("text")
        if text.get("class") == "mark-name"
    ]
    assert len({labels[0][2], labels[1][2]}) == 2
    for text, x, _ in labels:
        assert x - 3.3 * len(text) >= 0 and x + 3.3 * len(text) <= float(svg.get("width")) + 0.1


def test_bands_reach_from_half_an_epoch_before_to_half_an_epoch_after() -> None:
    svg = drawn(line(np.ones(10)), bands=[Band(1, 8, "a stage of eight"), Band(9, 9, "a stage too short for words")])
    first, second = svg.iter("rect")
    x = [place[0] for place in points(paths(svg, "line-0")[1])]
    half = (x[1] - x[0]) / 2
    assert float(first.get("x")) == pytest.approx(x[0] - half, abs=0.1)
    assert float(second.get("x")) == pytest.approx((x[7] + x[8]) / 2, abs=0.1)
    assert float(second.get("width")) == pytest.approx(2 * half, abs=0.1)
    assert [first.get("class"), second.get("class")] == ["band-0", "band-1"]
    assert [group.find("title").text for group in svg.iter("g")] == ["a stage of eight", "a stage too short for words"]
    assert "a stage of eight" in words(svg) and "a stage too short for words" not in words(svg)


def test_a_bands_name_is_shortened_to_its_width_and_left_out_where_nothing_fits() -> None:
    svg = drawn(line(np.ones(40)), bands=[Band(1, 35, "wide"), Band(36, 39, "some more"), Band(40, 40, "narrow")])
    shown = [group.findtext("text") for group in svg.iter("g")]
    assert shown[0] == "wide" and re.fullmatch("some?…|so…", shown[1]) and shown[2] is None


def test_all_of_a_drawing_lies_inside_its_frame() -> None:
    names = [f"a line with a long name, number {k}" for k in range(4)]
    svg = drawn(
        *(line(12345.0 * np.arange(1.0, 1001), name) for name in names),
        marks=[Mark(1, "the first epoch of all"), Mark(1000, "the last epoch of all")],
        bands=[Band(1, 1000, "everything")],
    )
    width, height = float(svg.get("width")), float(svg.get("height"))
    for text in svg.iter("text"):
        x, y, reach = float(text.get("x")), float(text.get("y")), 6.6 * len(text.text)
        left = {"start": 0, "middle": reach / 2, "end": reach}[text.get("text-anchor")] * (not text.get("transform"))
        assert x - left >= -0.1 and 8 <= y <= height
        assert x - left + reach * (not text.get("transform")) <= width + 0.1
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points(" ".join(paths(svg, "line-0"))))


def test_names_are_only_ever_text() -> None:
    svg = curve_svg(
        [line([1.0, 2.0], NASTY)],
        title=NASTY,
        x_label=NASTY,
        y_label=NASTY,
        marks=[Mark(1, NASTY)],
        bands=[Band(1, 2, NASTY)],
    )
    assert "<script" not in svg and "&lt;script" in svg
    ElementTree.fromstring(svg)


def training(*, chosen: int | None = 3, stages: tuple[str, ...] = ("head", "all")) -> dict[str, Any]:
    accuracy, loss = np.array([0.6, 0.7, 0.9, 0.9, 0.8, 0.8]), np.array([0.7, 0.5, 0.4, 0.5, 0.6, 0.7])
    epochs = [
        {
            "stage": stages[k // 3],
            "epoch": k + 1,
            "training_loss": 0.5 - 0.05 * k,
            "validation_loss": loss[k],
            "validation_accuracy": accuracy[k],
            "learning_rate": 1e-3,
        }
        for k in range(6)
    ]
    stage = {
        "epochs": 3,
        "trains": "the head",
        "trainable_parameters": 12_345,
        "learning_rate": 1e-5,
        "image_size": "224 × 224",
        "cached": "",
        "seconds": 75.0,
        "images_per_second": 812.4,
        "waiting_percent": 0.3,
    }
    return {
        "stages": [{"name": stages[0], **stage, "cached": "4 views before head"}, {"name": stages[1], **stage}],
        "epochs": epochs,
        "chosen_epoch": chosen,
        "curve": analyse_learning_curve(accuracy, loss, final_training_loss=0.2).as_json(),
        "choice": compare_losses(np.arange(1.0, 9), np.zeros(8)).as_json(),
    }


def gain(**changed: Any) -> dict[str, Any]:
    right, epochs = np.arange(20), training()["epochs"]
    return {
        "epochs": [{**row, "validation_accuracy": 0.5} for row in epochs],
        "transferred_epochs": epochs,
        "gain": transfer_gain(right < 18, right < 12, classes=2).as_json(),
        **changed,
    }


def rendered(name: str, fields: dict[str, Any], *told: str, verdict: str | None = None, **drawn: Any) -> str:
    sentences = [{"text": text, "verdict": verdict} for text in told]
    section = {"name": name, "title": "A title", "figures": fields, "sentences": sentences}
    return render_page(f"sections/{name}.html", section=section, **drawn)


def section(fields: dict[str, Any], *told: str, **others: Any) -> str:
    page = rendered("training", fields, *told, curves=training_plots(fields), **others)
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)).split())


def gain_section(fields: dict[str, Any]) -> str:
    page = rendered("gain", fields, against=gain_plot(fields["transferred_epochs"], fields["epochs"]))
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)).split())


def test_a_trainings_plots_show_its_stages_its_choice_and_the_start_of_overfitting() -> None:
    plots = training_plots(training())
    loss, accuracy = ElementTree.fromstring(plots.loss), ElementTree.fromstring(plots.accuracy)
    assert {"training loss", "validation loss", "head", "all"} <= set(words(loss))
    assert words(loss, "mark-name") == ["chosen: epoch 3", "loss rises from epoch 4"]
    assert words(accuracy, "mark-name") == ["chosen: epoch 3"]
    assert "chosen" not in training_plots(training(chosen=None)).loss


def test_both_courses_are_drawn_and_one_where_the_other_was_not_trained() -> None:
    fields = gain()
    plot = gain_plot(fields["transferred_epochs"], fields["epochs"])
    assert "transferred: 60.0 % at epoch 1, 80.0 % at epoch 6" in plot
    assert "from scratch: 50.0 % at epoch 1" in plot
    assert "transferred:" not in gain_plot([], fields["epochs"])


def test_a_figure_that_was_not_measured_leaves_a_gap() -> None:
    fields = training()
    fields["epochs"][2]["training_loss"] = None
    svg = ElementTree.fromstring(training_plots(fields).loss)
    assert paths(svg, "line-0")[1].count("M") == 2 and paths(svg, "line-1")[1].count("M") == 1


def test_the_section_says_every_figure() -> None:
    text = section(training(), "Stopped after 3 epochs without a better loss.")
    for phrase in (
        "4.500 nats less loss per image (95 % interval of the gain: +",
        "on the same 8 images; exact sign-flip test over images, p = 0.008.",
        "Stopped after 3 epochs without a better loss.",
        "Model kept after epoch 3",
        "95 % of the best accuracy (90.0 %) after epoch 3",
        "Sustained rise of validation loss from epoch 4",
        "Validation − training loss at the end +0.500 nats",
        "head trains the head; cached: 4 views before head 12,345 3 1e-5 224 × 224 1 min 15 s 812 0.3 %",
        "all trains the head 12,345",
    ):
        assert phrase in text


def test_the_gain_is_told_in_three_ways() -> None:
    text = gain_section(gain())
    for phrase in (
        "Absolute improvement +30.0 points +",
        "mistakes from scratch +75.0 % +",
        "from chance to perfect +80.0 % +",
    ):
        assert phrase in text


def test_the_section_says_on_how_many_images_the_curve_rests() -> None:
    fields = training()
    right = np.arange(40) < np.array([20, 30, 36])[:, None]
    measures = curve_measures(right, np.linspace(0.2, 1.2, 40), np.linspace(0, 0.4, 30))
    fields["curve"] |= {
        "n": 40, "epochs": 3, "training_n": 30, "measures": {name: each.as_json() for name, each in measures.items()},
    }  # fmt: skip
    fields["epochs"][0]["training_n"] = 244
    text = section(fields)
    for phrase in (
        "Validation figures of every epoch rest on 40 images, the training loss on 244, augmented and while learning.",
        "best accuracy 90.0 % (76.9–96.0, n = 40), in one of 3 epochs",
        "with other images, epoch 3 to 3",
        "from epoch 4 in 3 epochs, on 40 images",
        "nats +0.",
        "on 40 validation and 30 training images",
    ):
        assert phrase in text, phrase


def test_the_section_says_when_there_is_nothing_to_say() -> None:
    fields = training(chosen=None)
    fields["choice"] = compare_losses(np.ones(4), np.ones(4)).as_json()
    fields["curve"] = {
        "convergence_epoch": None,
        "overfitting_start": None,
        "final_train_val_gap": None,
        "max_val_acc": 0.0,
    }
    text = section(fields)
    for phrase in (
        "No difference in loss on the same 4 images",
        "Model kept the probe, from before training",
        "never reached",
        "Sustained rise of validation loss none",
        "not measured alike",
    ):
        assert phrase in text
    assert "pretraining" not in text and "nats less" not in text
    assert "the probe," in section({**fields, "choice": None}) and "nats" not in section({**fields, "choice": None})


def test_a_loss_that_grew_is_said_as_such() -> None:
    fields = training()
    fields["choice"] = compare_losses(np.zeros(8), np.arange(1.0, 9)).as_json()
    text = section(fields, "Trained further, the model is worse than the probe", verdict="worse")
    assert "than the probe 4.500 nats more loss per image (95 % interval of the gain: −" in text


def test_undefined_gains_are_said_as_such() -> None:
    lost = transfer_gain(np.arange(20) < 14, np.arange(20) < 20, classes=2)
    assert "Absolute improvement −30.0 points −" in gain_section(gain(gain=lost.as_json()))
    nearly = transfer_gain(np.arange(20) < 20, np.arange(20) < 19, classes=2)
    text = gain_section(gain(gain=nearly.as_json()))
    assert "no interval: in too many resamples, training from scratch is always right" in text
    assert "undefined training from scratch is always right" in gain_section(gain(gain=lost.as_json()))


def test_words_of_a_run_are_only_ever_text() -> None:
    fields = training(stages=(NASTY, "all"))
    page = rendered("training", fields, NASTY, curves=training_plots(fields))
    assert isinstance(training_plots(fields).loss, Markup)
    assert "<script" not in page and page.count("&lt;script") >= 4 and page.count("<svg") == 2

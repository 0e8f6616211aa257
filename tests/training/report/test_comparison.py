import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from nsfwtrain.errors import RunError
from nsfwtrain.report.comparison import (
    as_text,
    compare,
    finished_variants,
    notes,
    render,
    write_report,
)
from nsfwtrain.run.results import read_runs


def make_run(folder: Path, name: str, loss: float, accuracy: float, seconds: float) -> None:
    run = folder / name
    run.mkdir(parents=True)
    facts = {
        "variant": name,
        "parameters": 4_050_845,
        "options": {"batch_size": 64},
        "metrics": {
            "loss": loss,
            "accuracy": accuracy,
            "images": 1488,
            "accuracy_95_low": accuracy - 0.02,
            "accuracy_95_high": accuracy + 0.02,
        },
        "seconds": {"data": seconds * 0.75, "training": seconds * 0.25, "saving": 99.0},
        "bytes": {"model": 18_800_000},
    }
    (run / "run.json").write_text(json.dumps(facts))
    lines = [
        f"{i},{1 / i},{1 - 1 / (i + 1)},{1.1 / i},{1 - 1.1 / (i + 1)},1.0" for i in range(1, 6)
    ]
    head = "epoch,loss,accuracy,val_loss,val_accuracy,seconds"
    (run / "history.csv").write_text("\n".join([head, *lines]) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_run(tmp_path, "b2", 0.25, 0.9, 120)
    make_run(tmp_path, "b0", 0.32, 0.85, 60)
    (tmp_path / "b5").mkdir()  # begun, not finished
    make_run(tmp_path, "b6", 0.2, 0.9, 120)
    interrupted = json.loads((tmp_path / "b6" / "run.json").read_text()) | {"interrupted": True}
    (tmp_path / "b6" / "run.json").write_text(json.dumps(interrupted))
    return tmp_path


def test_runs_are_compared_in_the_order_of_the_variants(folder: Path) -> None:
    compared = compare(finished_variants(read_runs(folder)))
    assert compared["run"].tolist() == ["b0", "b2"]
    assert compared["accuracy difference"].tolist() == pytest.approx([0, 0.05])
    assert compared["time"].tolist() == [60, 120]
    table = as_text(compared)
    assert list(table.columns) == list(compared.columns)
    shown = table.iloc[1]
    assert shown["test loss":"accuracy difference"].tolist() == [
        "0.2500", "-0.0700", "0.9000", "0.8800 to 0.9200", "+0.0500",
    ]  # fmt: skip
    assert shown["test images":"time ratio"].tolist() == ["1,488", "", "0:02:00", "2.00"]
    assert shown["labels"] == ""
    assert table["published time"].tolist()[0] == "0:09:49"


@pytest.mark.slow
def test_both_recipes_of_a_variant_are_compared(folder: Path) -> None:
    make_run(folder, "b0-converged", 0.2, 0.95, 10)
    path = folder / "b0-converged" / "run.json"
    facts = json.loads(path.read_text()) | {
        "variant": "b0",
        "labels": ["cat", "dog"],
        "options": {"recipe": "converged"},
        "head": {"learned_from": ["train", "validation"]},
        "estimate": {"accuracy": 0.94, "accuracy_95_low": 0.93, "accuracy_95_high": 0.95},
    }
    path.write_text(json.dumps(facts))
    history = "strength,scale,iterations,loss,accuracy,val_loss,val_accuracy,seconds,chosen\n"
    rows = "100,1,5,0.3,0.9,0.4,0.8,0.1,0\n10,1,9,0.2,0.95,0.3,0.9,0.1,1\n"
    rows += "1,0.5,20,0.1,1,0.5,0.8,0.1,0\n"
    (path.parent / "history.csv").write_text(history + rows)
    table = as_text(compare(finished_variants(read_runs(folder))))
    assert table["run"].tolist() == ["b0-converged", "b0", "b2"]
    assert table["recipe"].tolist() == ["converged", "study", "study"]
    assert table["learned from"].tolist() == ["train, validation", "train", "train"]
    assert table["labels"].tolist() == ["cat, dog", "", ""]
    assert table["cross-validated accuracy"].tolist() == ["0.9400 (0.9300 to 0.9500)", "", ""]
    names = [path.name for path in write_report(folder)]
    assert {"strengths.png", "epochs.png"} <= set(names)


@pytest.mark.slow
def test_all_files_hold_the_same_values(folder: Path) -> None:
    written = write_report(folder)
    assert written == [path for path in written if path.exists()] != []
    with (folder / "report.csv").open() as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == list(compare(finished_variants(read_runs(folder))).columns)
    assert len(rows) == 3
    markdown = (folder / "report.md").read_text()
    page = (folder / "report.html").read_text()
    for row in rows:
        assert f"\n| {' | '.join(row)} |\n" in markdown
    for row in rows[1:]:
        assert "".join(f"<td>{cell}</td>" for cell in row) in page
    assert f"|\n|{' --- |' * len(rows[0])}\n| b0 |" in markdown
    plots = [path for path in written if path.suffix == ".png"]
    assert [path.stem for path in plots] == ["size", "quality", "accuracy-by-parameters", "epochs"]
    for path in plots:
        assert path.name in markdown
        assert path.name in page
        with Image.open(path) as image:
            assert min(image.size) > 400


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no finished run; make some with nsfwtrain sweep"):
        write_report(tmp_path)


def test_a_broken_history_is_named(folder: Path) -> None:
    (folder / "b0" / "history.csv").write_text("epoch,loss\n1,many\n")
    with pytest.raises(RunError, match=r"b0/history\.csv is not valid"):
        write_report(folder)


def test_incomplete_facts_are_named(folder: Path) -> None:
    (folder / "b0" / "run.json").write_text("{}")
    with pytest.raises(RunError, match=r"b0/run\.json is not valid: it lacks metrics, options"):
        write_report(folder)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"metrics": {"accuracy": 0.5}}, "metrics.loss"),
        ({"metrics": 3}, "metrics.loss"),
        ({"parameters": "many"}, "parameters"),
        ({"seconds": {"data": None, "training": 1}}, "seconds.data"),
    ],
)
def test_the_error_for_a_missing_number_names_the_fact(
    folder: Path, change: dict[str, object], name: str
) -> None:
    path = folder / "b0" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunError) as caught:
        write_report(folder)
    assert str(caught.value) == f"{path} is not valid: {name} is missing or not a number"


def test_interrupted_runs_are_not_compared(folder: Path) -> None:
    for name in ("b0", "b2"):
        (folder / name / "run.json").unlink()
    with pytest.raises(
        RunError, match=r"holds no finished run; continue the .* \(b6\) with .* --res"
    ):
        write_report(folder)


def change(folder: Path, name: str, **facts: object) -> None:
    path = folder / name / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_runs_may_have_any_name(folder: Path) -> None:
    (folder / "b2").rename(folder / "my second try")
    assert compare(finished_variants(read_runs(folder)))["run"].tolist() == ["b0", "my second try"]


@pytest.mark.slow
def test_a_report_says_what_the_runs_do_not_have_in_common(folder: Path) -> None:
    same = {"split_sha256": "a" * 64, "epochs": 10, "labels": ["cat", "dog"]}
    for name in ("b0", "b2"):
        change(folder, name, **same)
    said: list[str] = []
    write_report(folder, said.append)
    assert said == []
    change(folder, "b2", split_sha256="b" * 64, epochs=3, batch_sizes=[64, 32])
    write_report(folder, said.append)
    assert said == [
        "The runs differ in more than the variant: split, epochs. Compare rows that share these.",
        "Differences are given only for rows with the split of the first row.",
    ]
    for page in ("report.md", "report.html"):
        assert all(sentence in (folder / page).read_text() for sentence in said)
    table = as_text(compare(finished_variants(read_runs(folder))))
    assert table["epochs"].tolist() == ["10", "3"]
    assert table["batch"].tolist() == ["64", "64, 32"]
    assert table["split"].tolist() == ["a" * 8, "b" * 8]
    assert table["loss difference"].tolist() == ["+0.0000", ""]
    assert table["accuracy difference"].tolist() == ["+0.0000", ""]


def test_the_time_of_a_run_that_found_its_images_in_the_cache_is_not_given(folder: Path) -> None:
    change(folder, "b0", images={"prepared": 2000, "cached": 0})
    change(folder, "b2", images={"prepared": 0, "cached": 2000})
    runs = finished_variants(read_runs(folder))
    table = as_text(compare(runs))
    assert table["time"].tolist() == ["0:01:00", ""]
    assert table["time ratio"].tolist() == ["1.00", ""]
    assert notes(runs) == [
        "The times of runs that found images in the cache are not given: b2 (2,000 images)."
    ]


def test_runs_whose_parts_are_no_longer_balanced_are_named(folder: Path) -> None:
    change(folder, "b0", unbalanced=[])
    change(folder, "b2", unbalanced=["validation", "test"])
    (sentence,) = notes(finished_variants(read_runs(folder)))
    assert sentence.endswith("so the metrics do not compare: b2 (validation, test).")


def test_other_options_are_differences_too(folder: Path) -> None:
    change(folder, "b2", options={"recipe": "converged", "prevalence": 0.1, "seed": 1})
    change(folder, "b0", options={"recipe": "converged", "prevalence": "balanced", "seed": 1})
    (sentence,) = notes(finished_variants(read_runs(folder)))
    assert sentence.startswith("The runs differ in more than the variant: prevalence. ")


def test_the_page_escapes_its_text(folder: Path) -> None:
    table = pd.DataFrame({"<b>": ["a & b"]})
    page = render("report.html", table, [])
    assert "<th>&lt;b&gt;</th>" in page
    assert "<td>a &amp; b</td>" in page

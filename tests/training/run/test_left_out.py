from nsfwtrain.data.tables import split_frame
from nsfwtrain.run.left_out import left_out_facts, left_out_lines

SPLIT = split_frame(
    (f"{part}{value}{i}", value, part)
    for part, count in (("train", 5), ("validation", 3), ("test", 2))
    for value in (0, 1)
    for i in range(count + (part == "train" and value))
)


def lines(*names: str) -> list[str]:
    bad = dict.fromkeys(names, "why")
    facts = left_out_facts(SPLIT, bad)
    assert facts["left_out"] == bad
    return left_out_lines(facts)


def test_a_part_that_is_no_longer_balanced_is_named() -> None:
    counted, unbalanced = lines("test00", "train11", "train12")
    assert counted == (
        "left out: 3 images: train 0 of label 0 and 2 of label 1, test 1 of label 0 and 0 of "
        "label 1"
    )
    assert unbalanced == (
        "the test part is no longer balanced: it has 1 of label 0 and 2 of label 1; restore the "
        "images, or split the collection again without them"
    )
    facts = left_out_facts(SPLIT, {"test00": "why", "another image": "why"})
    assert facts["unbalanced"] == ["test"]
    assert facts["left_out_counts"]["test/0"] == sum(facts["left_out_counts"].values()) == 1
    assert facts["counts"]["test/0"] == 1


def test_balanced_parts_and_the_training_part_are_not_named() -> None:
    assert len(lines("validation00", "validation11", "train00")) == 1
    assert lines() == []
    assert left_out_lines({"left_out": {"x": "why"}}) == []  # of an earlier version

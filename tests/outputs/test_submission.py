"""The challenge's submission: the sample's order, a row for every image, and what failed by name."""

import csv

import numpy as np
import pytest
from made_up_findings import box_mask, declined, negative, positive

from pleura.errors import EvaluationError
from pleura.outputs.submission import Submission, read_sample_order
from pleura.read.rle import decode_rle


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["ImageId"], row["EncodedPixels"]) for row in csv.DictReader(file)]


def sample(path, ids, header="ImageId,EncodedPixels"):
    path.write_text("\n".join([header, *(f"{i},1 1" for i in ids)]) + "\n", encoding="utf-8")
    return read_sample_order(path)


def add(submission, finding):
    mask = finding.mask if finding.decision == "positive" else None
    submission.add(finding.source, finding.sop_instance_uid, mask)


BIG = box_mask((1024, 1024), 100, 200, 300, 260)


def test_a_submission_follows_the_sample(tmp_path, caplog):
    order = sample(tmp_path / "sample.csv", ["1.2.9", "1.2.1", "1.2.5", "1.2.7"])
    submission = Submission(order)
    for found in (
        positive(BIG, "/films/1.2.1.dcm"),
        declined("1.2.5.dcm"),
        negative((1024, 1024), "whatever.dcm", sop_instance_uid="1.2.9"),
        negative((1024, 1024), "C:\\films\\1.2.7.png"),
        declined("stranger.dcm"),
    ):
        add(submission, found)
    path = tmp_path / "submission.csv"
    assert submission.write(path) == 4
    assert submission.failures == []
    written = rows(path)
    assert [image for image, _ in written] == order
    assert [pixels == "-1" for _, pixels in written] == [True, False, True, True]
    np.testing.assert_array_equal(decode_rle(written[1][1]), BIG)
    assert "stranger.dcm is not in the sample" in caplog.text


def test_a_uid_that_is_a_files_whole_name(tmp_path):
    submission = Submission(["1.2.840.5"])
    add(submission, positive(BIG, "x/1.2.840.5"))
    submission.write(tmp_path / "o.csv")
    assert rows(tmp_path / "o.csv")[0][1] != "-1"


def test_an_image_listed_twice_is_written_twice(tmp_path):
    submission = Submission(sample(tmp_path / "s.csv", ["1.2", "1.2"]))
    add(submission, declined("1.2.dcm"))
    assert submission.write(tmp_path / "o.csv") == 2


def test_what_fails_is_minus_one_and_costs_no_other_its_row(tmp_path):
    submission = Submission(["good", "broken", "small", "absent", "twice"])
    add(submission, positive(box_mask(), "in/small.dcm"))
    submission.fail("in/broken.dcm", "in/broken.dcm is cut short")
    add(submission, positive(BIG, "in/good.dcm"))
    add(submission, positive(BIG, "a/twice.dcm"))
    add(submission, negative((1024, 1024), "b/twice.dcm"))
    submission.fail("in/readme.dcm", "in/readme.dcm is no film")
    assert submission.write(tmp_path / "o.csv") == 5
    written = dict(rows(tmp_path / "o.csv"))
    assert {image for image, pixels in written.items() if pixels == "-1"} == {
        "broken",
        "small",
        "absent",
    }
    np.testing.assert_array_equal(decode_rle(written["twice"]), BIG)  # the first is kept
    assert submission.failures == [
        ("in/small.dcm", "its mask is 60x80, and a submission's is 1024x1024"),
        ("in/broken.dcm", "in/broken.dcm is cut short"),
        ("b/twice.dcm", "image twice has a finding already, which is kept"),
        ("in/readme.dcm", "in/readme.dcm is no film"),
        ("absent", "no film of this image was given"),
    ]


def test_a_file_beside_a_film_is_no_failure_of_it():
    submission = Submission(["a"])
    submission.fail("in/a.txt", "in/a.txt is no film")
    add(submission, declined("in/a.dcm"))
    assert submission.failures == []


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (["1.1.dcm"], r"1 of the 2 images .* \(1.2\), and 0 other"),
        (["x.dcm"], r"2 of the 2 images .* \(1.1, 1.2\), and 1 other"),
        ([], "2 of the 2 images"),
    ],
)
def test_films_that_cannot_be_the_sample_are_refused_before_any_work(sources, says):
    with pytest.raises(EvaluationError, match=says):
        Submission(["1.1", "1.2"]).check(sources)


@pytest.mark.parametrize(
    "sources", [["1.1.dcm", "1.2.dcm"], ["1.1.dcm", "x.dcm"], ["x", "y", "z"], ["1.1/1.2", "a/1.1"]]
)
def test_films_that_may_be_the_sample_pass(sources):
    Submission(["1.1", "1.2"]).check(sources)


def test_the_samples_own_oddities(tmp_path):
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xef\xbb\xbfImageId, EncodedPixels\r\n1.2 , -1\r\n\r\n1.3,\r\n")
    assert read_sample_order(path) == ["1.2", "1.3"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no column ImageId .it has: none"),
        (b"id,EncodedPixels\n1,-1\n", "no column ImageId .it has: id, EncodedPixels"),
        (b"ImageId,EncodedPixels\n", "lists no image"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b'ImageId\n"open', "cannot be read"),
    ],
)
def test_what_is_no_sample(tmp_path, content, says):
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=says):
        read_sample_order(path)
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_sample_order(tmp_path / "nowhere.csv")

"""docs/faults.md says truthfully which test injects which fault, and none is left out."""

from pathlib import Path

import pytest

from tests.unit.fault_matrix import FAULTS, PAGE, REQUIRED, by_fault, injections, matrix, written


def test_every_fault_has_a_test_or_a_reason() -> None:
    tests = by_fault(injections())
    missing = {number for number in REQUIRED if not tests.get(number)}
    assert missing == {number for number, known in FAULTS.items() if known.waits_for}
    assert set(tests) <= set(FAULTS), "a mark names a fault that is not in the table"
    assert set(FAULTS) - set(tests) == missing, "the table names a fault that nothing injects"


def test_every_fault_meets_a_whole_pipeline() -> None:
    """On the stack or in simulation: where restored bytes can be compared. What only a retention
    plan or a timer can meet is proved where those are."""
    alone = {
        number
        for number, tests in by_fault(injections()).items()
        if not any(test.startswith(("tests/e2e/", "tests/sim/")) for test in tests)
    }
    assert alone & REQUIRED == set()


def test_the_page_shows_the_marks_as_they_are() -> None:
    """Where this fails: `python -m tests.unit.fault_matrix`."""
    page = PAGE.read_text()
    assert written(page) == page
    assert matrix(injections()) in page


def test_marks_are_read_from_the_tests(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    test = tmp_path / "tests" / "test_one.py"
    test.write_text(
        "import pytest\n"
        "@pytest.mark.fault(1, 2)\n"
        "@pytest.mark.parametrize('n', [1])\n"
        "async def test_a(n): ...\n"
        "@pytest.mark.fault(2)\n"
        "def test_b(): ...\n"
        "def test_c(): ...\n"
    )
    assert by_fault(injections(tmp_path / "tests")) == {
        1: ["tests/test_one.py::test_a"],
        2: ["tests/test_one.py::test_a", "tests/test_one.py::test_b"],
    }


@pytest.mark.parametrize("name", ["test_one.py", "scenes.py"])
def test_a_mark_that_no_run_would_see_is_refused(tmp_path: Path, name: str) -> None:
    function = "prepared" if name.startswith("test") else "test_a"
    text = f"import pytest\n@pytest.mark.fault(1)\ndef {function}(): ...\n"
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="no test"):
        injections(tmp_path)

"""Every idea of the curriculum has its lesson, and in it a cell that runs it."""

import pytest

from tools import lesson_format as fmt
from tools.lesson_format import Lesson

# The stable ids of the curriculum, lesson by lesson. A new lesson adds its row.
CONCEPTS = {
    "00_start_here": ["S1", "S2", "S3", "S4"],
    "01_define_the_problem": ["P1", "P2", "P3", "P4", "P5", "P6", "P7"],
    "02_explore_the_data": ["E1", "E2", "E3", "E4", "E5", "E6", "E7"],
    "03_prepare_the_data": ["D1", "D2", "D3", "D4", "D5", "D6", "D7"],
    "04_train_from_scratch": ["T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8"],
    "05_baseline": ["B1", "B2", "B3", "B4", "B5"],
    "06_overfit": ["O1", "O2", "O3", "O4"],
    "07_architecture": ["A1", "A2", "A3", "A4", "A5", "A6", "A7"],
    "08_regularize": ["R1", "R2", "R3", "R4", "R5", "R6", "R7"],
    "10_learn_more_from_data": ["L1", "L2", "L3", "L4"],
    "11_objectives_and_ensembles": ["J1", "J2", "J3", "J4"],
    "09_tune": ["U1", "U2", "U3", "U4", "U5", "U6"],
    "12_evaluate": ["V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9"],
    "13_export": ["X1", "X2", "X3", "X4", "X5", "X6"],
    "14_serve": ["W1", "W2", "W3", "W4", "W5"],
    "15_monitor": ["M1", "M2", "M3", "M4", "M5"],
    "16_scale_out": ["G1", "G2", "G3", "G4"],
    "20_capstone_oct": ["K1"],
}


@pytest.mark.parametrize("lesson", fmt.lessons(), ids=lambda lesson: lesson.slug)
def test_each_idea_is_run_in_a_cell(lesson: Lesson) -> None:
    assert lesson.slug in CONCEPTS, "the lesson has no row in the table above"
    assert lesson.course["concepts"] == CONCEPTS[lesson.slug]
    assert set(fmt.concept_tags(lesson)) == set(CONCEPTS[lesson.slug]), "tags `concept:ID` on code cells"


def test_every_lesson_of_the_table_exists() -> None:
    there = {lesson.slug for lesson in fmt.lessons()}
    assert not set(CONCEPTS) - there, "lessons of the curriculum are missing"

"""Notes become token ids: what is known, what is a stranger, what is padding."""

import pytest
import torch

from course_utils.notes import SPECIAL, Vocabulary, words

NOTES = ["Wavy lines, left eye.", "wavy LINES since 2 weeks", "Left eye: wavy w/ lines"]


def test_words_are_lower_case_and_without_punctuation():
    assert words("Pls assess: 87 yo, w/ wavy lines!") == ["pls", "assess", "87", "yo", "w/", "wavy", "lines"]
    assert words("") == []


def test_the_vocabulary_knows_common_words_in_a_stable_order():
    vocabulary = Vocabulary(NOTES, at_least=2)
    assert list(vocabulary.ids) == [*SPECIAL, "eye", "left", "lines", "wavy"]
    assert len(vocabulary) == 7
    assert Vocabulary(reversed(NOTES), at_least=2).ids == vocabulary.ids


def test_encoding_pads_cuts_and_marks_strangers():
    tokens = Vocabulary(NOTES, at_least=2).encode(["Wavy cat", "left eye wavy lines wavy", ""], length=4)
    assert tokens.tolist() == [[2, 6, 1, 0], [2, 4, 3, 6], [2, 0, 0, 0]]
    assert tokens.dtype == torch.int64
    assert Vocabulary(NOTES).encode([], length=4).shape == (0, 4)


def test_a_vocabulary_of_nothing_is_refused_in_words():
    with pytest.raises(ValueError, match="no word occurs 3 times"):
        Vocabulary(["one", "two"])

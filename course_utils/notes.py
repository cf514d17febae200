"""Referral notes as numbers: words, a vocabulary learned from the training notes, token ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

SPECIAL = ("[PAD]", "[UNK]", "[CLS]")  # fills up, stands for any unknown word, opens a note


def words(note: str) -> list[str]:
    """Lower-case words and whole numbers of a note, in order; punctuation goes."""
    return re.findall(r"[a-z/']+|\d+", note.lower())


class Vocabulary:
    """Words and their numbers: `SPECIAL` first, then every word that the notes use `at_least` times, sorted.

    Make it from training notes only: words that first turn up later must be strangers then, too.
    Raises ValueError when no word is known.
    """

    def __init__(self, notes: Iterable[str], at_least: int = 3):
        seen = Counter(word for note in notes for word in words(note))
        known = sorted(word for word, count in seen.items() if count >= at_least)
        if not known:
            raise ValueError(f"no word occurs {at_least} times in the notes: pass more notes, or a lower at_least")
        self.ids = {word: number for number, word in enumerate((*SPECIAL, *known))}

    def __len__(self) -> int:
        return len(self.ids)

    def encode(self, notes: Iterable[str], length: int = 32) -> Tensor:
        """Token ids int64 (N, length): [CLS], the words, then [PAD]; longer notes are cut."""
        pad, unknown, opening = (self.ids[word] for word in SPECIAL)
        rows = [[opening, *(self.ids.get(word, unknown) for word in words(note))] for note in notes]
        return torch.tensor([(row + [pad] * length)[:length] for row in rows], dtype=torch.int64).reshape(-1, length)

"""One network for several inputs: a scan, its row of the patient table, and its referral note."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_utils.models.core import build


class Case(NamedTuple):
    """All that is known of a batch: `image` (B, C, S, S) and `row` (B, R) float32, `note` (B, L) int64 token ids."""

    image: Tensor
    row: Tensor
    note: Tensor

    def to(self, device, **options) -> Case:
        """Every part on `device`: all that the training loop asks of an input."""
        return Case(*(part.to(device, **options) for part in self))


class NoteReader(nn.Module):
    """Token ids (B, L), 0 for padding → (B, width): a GRU over word vectors, its states averaged over real words."""

    def __init__(self, words: int, width: int):
        super().__init__()
        self.vectors = nn.Embedding(words, width, padding_idx=0)
        self.rnn = nn.GRU(width, width, batch_first=True)

    def forward(self, note: Tensor) -> Tensor:
        states, _ = self.rnn(self.vectors(note))  # (B, L, width); padding comes last, so no real word sees it
        real = (note != 0).unsqueeze(-1).float()  # (B, L, 1)
        return (states * real).sum(1) / real.sum(1).clamp(min=1)


class JointNet(nn.Module):
    """Each input read by a network of its own, the three answers side by side, one linear layer to judge them.

    `inputs` names the parts of a `Case` to use, so that each can be tried alone. `columns`: numbers in a table row;
    `words`: size of the vocabulary; `width`: of each answer. forward: a `Case` → logits (B, K).
    Raises ValueError for an unknown input or none.
    """

    def __init__(self, inputs=Case._fields, *, columns, words, in_channels=1, classes=4, size=32, width=32):
        super().__init__()
        if not inputs or set(inputs) - set(Case._fields):
            raise ValueError(f"inputs must be some of {', '.join(Case._fields)}, got {', '.join(inputs) or 'none'}")
        scans = build("small_cnn", in_channels=in_channels, classes=classes, size=size)
        readers = {
            "image": nn.Sequential(scans.features, nn.Linear(scans.head.in_features, width), nn.ReLU()),
            "row": nn.Sequential(nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
            "note": NoteReader(words, width),
        }
        self.readers = nn.ModuleDict({name: readers[name] for name in inputs})
        self.head = nn.Linear(width * len(inputs), classes)

    def forward(self, case: Case) -> Tensor:
        answers = [reader(getattr(case, name)) for name, reader in self.readers.items()]
        return self.head(torch.cat(answers, dim=1))  # (B, inputs · width) → (B, K)

"""The ideas of the curriculum, and docs/CONCEPTS.md, the page that says which cell of which lesson runs each.

`IDEAS` is the one place where ids and ideas are written: the tests hold the lessons against it, `make stamp` writes the
page. A lesson names its ids in `metadata.course.concepts` and tags the cells that run them `concept:ID`.
"""

import re

from tools import lesson_format as fmt
from tools.lesson_format import Lesson

# Lesson by lesson, the stable ids and what each stands for. A new lesson adds its row.
IDEAS = {
    "00_start_here": {
        "S1": "A model is a function whose body is learned: we give a structure and examples, not the rule",
        "S2": "The five classic steps, from data to export, beside their counterparts in ordinary programming",
        "S3": "The loop: define, understand, hypothesise, verify, record, and again",
        "S4": "The tools of each stage, and why this course picks the ones it picks",
    },
    "01_define_the_problem": {
        "P1": "What goes in and what comes out: a messy need as one task, or as several",
        "P2": "The kinds of task, and how to recognise them",
        "P3": "How the job is done today, scored like a model; what to take from what others published",
        "P4": "Constraints as numbers: memory, latency, target, privacy, labels",
        "P5": "A metric that follows from the goal; why accuracy misleads; what a loss value is relative to",
        "P6": "Hypotheses written down before the work that tests them",
        "P7": "Questions to ask oneself before starting",
    },
    "02_explore_the_data": {
        "E1": "Where labels come from: who labels, by which guideline, how far two people agree, at what cost",
        "E2": "Representative data: who is missing, and from which devices and clinics",
        "E3": "Looking: samples, counts, histograms, a map, missing values, outliers",
        "E4": "Leakage in tables and in pictures, found and proved",
        "E5": "Duplicates, near-duplicates, and scans that belong to one patient",
        "E6": "Inductive bias: what the structure of the data suggests about the model",
        "E7": "The data detective: planted faults and their answer key",
    },
    "03_prepare_the_data": {
        "D1": "Pictures, table rows, text and sound become tensors",
        "D2": "Normalising, with statistics from the training part only",
        "D3": "Missing values: an indicator, a category of its own, never an arbitrary zero",
        "D4": "Train, validation and test: grouped, stratified, and the last one locked",
        "D5": "From `Dataset` to batches: shuffling, workers, whole batches from memory, weighted sampling",
        "D6": "Augmentation, MixUp and CutMix; the wrong one hurts",
        "D7": "Resizing, denoising, dropping copies, questioning labels",
    },
    "04_train_from_scratch": {
        "T1": "The forward pass by hand: linear model, MLP, probabilities",
        "T2": "Activations: vanishing gradients, dead units, and how to heal them",
        "T3": "Losses by hand, and what outliers do to them",
        "T4": "Backpropagation and autograd; the forgotten `zero_grad`",
        "T5": "Optimizers by hand: SGD, momentum, RMSProp, Adam, AdamW",
        "T6": "The training loop; `train()` and `eval()`, with and without gradients",
        "T7": "Reproducibility: seeds and deterministic algorithms",
        "T8": "Bugs: questions to put to a loop that does not learn",
    },
    "05_baseline": {
        "B1": "The trivial baseline, then the simplest models, each with its interval",
        "B2": "Better, or lucky? Testing a difference instead of glancing at it",
        "B3": "Three levers: features, architecture, training configuration",
        "B4": "A run that others can repeat: seed, settings, environment, result",
        "B5": "Features made by hand, and when they win",
    },
    "06_overfit": {
        "O1": "Scaling up until it overfits: bigger layers, more layers, more epochs",
        "O2": "Reading learning curves: underfitting, overfitting, learning of noise, double descent",
        "O3": "What size costs: weights, operations, memory",
        "O4": "What ten times less data does",
    },
    "07_architecture": {
        "A1": "Structure to suit the data: MLP, CNN, recurrent, Transformer, hybrid, at one budget",
        "A2": "Blocks built from parts: residual, bottleneck, Inception, squeeze-and-excitation, attention",
        "A3": "A checklist: shapes, strides, order of normalisation and activation",
        "A4": "Initialisation: what keeps a signal alive through many layers",
        "A5": "Normalisation, residual scaling and skip connections make depth trainable",
        "A6": "A layer of one's own, with an inductive bias for this data",
        "A7": "Several inputs at once: picture, table row, note",
    },
    "08_regularize": {
        "R1": "Early stopping with patience and the best weights",
        "R2": "Dropout, spatial dropout, stochastic depth",
        "R3": "L1, L2 and decoupled weight decay, and how they differ",
        "R4": "Augmentation, MixUp, CutMix, label smoothing, noise",
        "R5": "R-Drop and R3F: the same answer twice",
        "R6": "Gradient clipping and accumulation",
        "R7": "All cures on one model: what stacks and what cancels",
    },
    "09_tune": {
        "U1": "The learning rate first: range test and schedules",
        "U2": "Search with a real tool: samplers, importance, pruning, a study that survives a kill",
        "U3": "Hold-out, K-fold, repeated K-fold: how far an estimate strays",
        "U4": "The improvement cycle, turn by turn, failures included",
        "U5": "Tracking a run, and reading the record back",
        "U6": "Overfitting the validation set by looking at it often",
    },
    "10_learn_more_from_data": {
        "L1": "Transfer learning: what to freeze, what to let learn, and how fast",
        "L2": "Self-supervised pre-training: a pretext task, and contrastive learning",
        "L3": "From simulated to real scans",
        "L4": "Pseudo-labels",
    },
    "11_objectives_and_ensembles": {
        "J1": "Losses that say what we mean: weights, focal loss, expected cost",
        "J2": "Joint learning: several losses, their scales and weights",
        "J3": "Policy learning: a goal without a gradient, by REINFORCE",
        "J4": "Ensembles: averaging, snapshots, stacking, ranking; disagreement is what pays",
    },
    "12_evaluate": {
        "V1": "The test set, opened once",
        "V2": "Confusion matrix, recall, precision, ROC and PR curves, each with its interval",
        "V3": "Calibration, thresholds from costs, and asking a person",
        "V4": "Error analysis: wrong cases, slices, what to change next",
        "V5": "Post-processing: votes and test-time augmentation",
        "V6": "What the network itself can tell: outputs, weights, gradients, activations",
        "V7": "Explaining it to those who pay",
        "V8": "Metrics for numbers and for rankings",
        "V9": "Saliency maps and their limits",
    },
    "13_export": {
        "X1": "File formats, and what each of them holds",
        "X2": "ONNX: export, check, the same decisions",
        "X3": "Versions, hashes, model card, safe loading",
        "X4": "Pruning and quantisation",
        "X5": "Latency by batch size and threads, against the budget",
        "X6": "Distillation into a smaller student",
    },
    "14_serve": {
        "W1": "A REST service: when it fits, and what it costs",
        "W2": "On a device: when it fits",
        "W3": "In the browser: when it fits",
        "W4": "Inputs are hostile: limits, checks, clear refusals",
        "W5": "Scans by the folder: batch inference",
    },
    "15_monitor": {
        "M1": "What to watch: errors, latency, throughput, and labels that come late",
        "M2": "Drift in inputs, embeddings and answers; thresholds and false alarms",
        "M3": "A/B tests: power, peeking, shadow and canary",
        "M4": "Review by people, and what to do where labels do not come",
        "M5": "Keeping it alive: annotate, retrain, compare, roll back",
    },
    "16_scale_out": {
        "G1": "Data, model and pipeline parallelism, and what they should bring",
        "G2": "Data-parallel training by two processes, equal to one",
        "G3": "Search and batch inference shared between workers",
        "G4": "Mixed precision, `torch.compile`, gradient checkpointing",
    },
    "20_capstone_oct": {"K1": "The whole loop again, on real scans"},
    "21_capstone_radar": {"K2": "The whole loop again, on a signal in time: breathing rate from radar"},
    "22_your_own_data": {"K3": "A template for one's own images or table"},
}

INTRODUCTION = """\
# Index of concepts

Every idea of the course, the lesson that teaches it, and the cells that run it. A cell's name is its `id` in the
notebook file; the heading before it is the one it stands under, so that you can find it by eye. The ids of the ideas
do not change. Words are explained in [GLOSSARY.md](GLOSSARY.md).

*Written by `make stamp`: do not edit. The ideas live in `tools/concepts.py`.*
"""


def places(lesson: Lesson) -> dict[str, dict[str, list[str]]]:
    """For each id, in order of appearance: the headings under which cells run it, and those cells' ids."""
    found: dict[str, dict[str, list[str]]] = {}
    heading = ""
    for cell in lesson.cells:
        if cell["cell_type"] == "markdown":
            prose = re.sub(r"```.*?```", "", fmt.source(cell), flags=re.DOTALL)
            heading = (re.findall(r"(?m)^##+ +(.+?) *$", prose) or [heading])[-1]
        for tag in fmt.tags(cell):
            if tag.startswith("concept:"):
                found.setdefault(tag.removeprefix("concept:"), {}).setdefault(heading, []).append(cell["id"])
    return found


def page(lessons: list[Lesson]) -> str:
    """The index as markdown: a section a lesson, a row an idea. A lesson that is missing is said to be."""
    there = {lesson.slug: lesson for lesson in lessons}
    return "\n".join([INTRODUCTION, *(section(slug, there.get(slug)) for slug in IDEAS)])


def section(slug: str, lesson: Lesson | None) -> str:
    """One lesson's part of the index."""
    if lesson is None:
        return f"## {slug}\n\nThis lesson is not written yet.\n"
    where = places(lesson)
    rows = [f"| {key} | {idea} | {in_words(where.get(key, {}))} |" for key, idea in IDEAS[slug].items()]
    head = f"## {slug}\n\n[{lesson.course['question']}](../notebooks/{slug}.ipynb)\n"
    return "\n".join([head, "| Id | Idea | Where it is run |", "|---|---|---|", *rows, ""])


def in_words(headings: dict[str, list[str]]) -> str:
    """`*3 Look*: counts, map`: where an idea is run, for a cell of the table."""
    said = (f"*{heading}*: {', '.join(f'`{name}`' for name in ids)}" for heading, ids in headings.items())
    return "; ".join(said).replace("|", "\\|") or "nowhere yet"

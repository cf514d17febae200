"""The networks of the course: small, named, and each able to say how it was built.

Every network splits in two: ``embed`` turns pictures (B, C, S, S) into one feature vector a picture (B, D), and
``head`` turns that vector into logits (B, K). The split lets later lessons reuse the features.

`core` holds the registry and `build`; `networks` the dense and convolutional networks; `blocks` and `tokens` the parts
that can take each other's place; `families` networks of other structure; `joint` one for a scan with its table row and
its note; `series` networks that read signals; `tabular` one for the rows of a table;
`weights` how weights start; `cost` what a network costs.
"""

from course_utils.models.blocks import (
    DepthConv,
    Inception,
    MeanMaxPool,
    ResidualBlock,
    Skip,
    SqueezeExcite,
    bottleneck,
    conv_block,
    depth_aware,
    normalization,
    plain,
    residual,
    squeeze_excite,
    two_convs,
)
from course_utils.models.core import REGISTRY, Classifier, build, names, register
from course_utils.models.cost import conv_output_size, cost_table, count_flops, count_parameters, training_memory
from course_utils.models.families import BLOCKS, BlockNet, ColumnReader, Hybrid, PatchTransformer, ScanRNN, TokenReader
from course_utils.models.joint import Case, JointNet, NoteReader
from course_utils.models.networks import MLP, FirstCNN, Logistic, SmallCNN, SmallResNet
from course_utils.models.series import (
    SeriesBlock,
    SeriesCNN,
    SeriesGRU,
    SeriesLSTM,
    SeriesMLP,
    SeriesPool,
    SeriesResNet,
    SeriesTransformer,
    series_conv,
)
from course_utils.models.tabular import TableMLP
from course_utils.models.tokens import AsTokens, SelfAttention, attention, transformer, transformer_layer
from course_utils.models.weights import initialize, zero_last_gains

__all__ = [
    "BLOCKS",
    "MLP",
    "REGISTRY",
    "AsTokens",
    "BlockNet",
    "Case",
    "Classifier",
    "ColumnReader",
    "DepthConv",
    "FirstCNN",
    "Hybrid",
    "Inception",
    "JointNet",
    "Logistic",
    "MeanMaxPool",
    "NoteReader",
    "PatchTransformer",
    "ResidualBlock",
    "ScanRNN",
    "SelfAttention",
    "SeriesBlock",
    "SeriesCNN",
    "SeriesGRU",
    "SeriesLSTM",
    "SeriesMLP",
    "SeriesPool",
    "SeriesResNet",
    "SeriesTransformer",
    "Skip",
    "SmallCNN",
    "SmallResNet",
    "SqueezeExcite",
    "TableMLP",
    "TokenReader",
    "attention",
    "bottleneck",
    "build",
    "conv_block",
    "conv_output_size",
    "cost_table",
    "count_flops",
    "count_parameters",
    "depth_aware",
    "initialize",
    "names",
    "normalization",
    "plain",
    "register",
    "residual",
    "series_conv",
    "squeeze_excite",
    "training_memory",
    "transformer",
    "transformer_layer",
    "two_convs",
    "zero_last_gains",
]

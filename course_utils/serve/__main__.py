"""The command line: `python -m course_utils.serve run`, `… batch FOLDER --out table.csv`, `… assets`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from course_utils.serve.limits import Limits  # nothing heavier here: every worker imports this file first


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m course_utils.serve", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="answer over HTTP until Ctrl-C")
    run.add_argument("--bundle", type=Path, help="a bundle's folder (default: the newest in runs/bundles)")
    run.add_argument("--host", default="127.0.0.1", help="127.0.0.1, this machine only; 0.0.0.0 lets everybody in")
    run.add_argument("--port", type=_whole(0, 65535), default=8000, help="0 takes a free one")
    run.add_argument("--workers", type=_whole(1, 64), default=1, help="processes; from two on the dead are replaced")
    run.add_argument("--threads", type=_whole(1, 64), default=1, help="requests answered at once in each process")
    run.add_argument("--micro-batch", type=_whole(1, 1024), default=1, help="waiting scans that may share a run")
    for field in fields(Limits):
        run.add_argument(f"--{field.name.replace('_', '-')}", type=float if field.name == "seconds" else int)
    run.add_argument("--stop-with-stdin", action="store_true", help=argparse.SUPPRESS)

    batch = commands.add_parser("batch", help="answer every file of a folder, into a table")
    batch.add_argument("folder", type=Path)
    batch.add_argument("--out", type=Path, required=True, help="the table, a .csv file")
    batch.add_argument("--bundle", type=Path, help="a bundle's folder (default: the newest in runs/bundles)")

    commands.add_parser("assets", help="fetch the browser's runtime for the page at /")
    return parser


def _whole(low: int, high: int):
    def number(text: str) -> int:
        if not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return number


def _run(options: argparse.Namespace) -> None:
    from course_utils.serve import process

    if options.stop_with_stdin:
        process.stop_with(sys.stdin)
    limits = {field.name: getattr(options, field.name) for field in fields(Limits)}
    limits = {name: value for name, value in limits.items() if value is not None}
    process.serve(
        options.bundle or process.newest_bundle(),
        options.host,
        options.port,
        options.workers,
        threads=options.threads,
        micro_batch=options.micro_batch,
        **limits,
    )


def _batch(options: argparse.Namespace) -> None:
    from course_utils.artifacts import load_bundle
    from course_utils.serve.batch import predict_folder
    from course_utils.serve.predictor import Predictor
    from course_utils.serve.process import newest_bundle

    predictor = Predictor(load_bundle(options.bundle or newest_bundle()))
    table = predict_folder(predictor, options.folder, options.out)
    refused = table[table["status"] == "refused"]
    for name, reason in zip(refused["file"], refused["reason"]):
        print(f"refused: {name}: {reason}", file=sys.stderr)
    print(f"{len(table) - len(refused)} answered, {len(refused)} refused: {options.out}")


def _assets(options: argparse.Namespace) -> None:
    from course_utils.serve.assets import fetch_assets

    print(f"the browser's runtime is in {fetch_assets()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 1 for what cannot be done, 2 for misuse, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        {"run": _run, "batch": _batch, "assets": _assets}[options.command](options)
    except KeyboardInterrupt:
        if options.command != "batch":  # Ctrl-C is how a service is ended
            return 0
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except (OSError, RuntimeError, ValueError) as error:  # BundleError, DataError and AssetsMissing are of these
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

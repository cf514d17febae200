"""What each of several processes does: `python -m course_utils.scale.worker JOB.json`.

Under torchrun it joins the others and does the job's tasks in order; started on its own with a job that names a
`storage`, it is one of several that share an Optuna study.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from course_utils.env import atomic_path, to_json
from course_utils.scale.costs import median_seconds
from course_utils.scale.launching import end_with_parent, report_path
from course_utils.scale.training import Plan, sgd, share, small_net, train_share


@dataclass(frozen=True)
class Worker:
    """One process of a group: who it is, where it computes, and the scans that all of them have."""

    rank: int
    world: int
    device: torch.device
    images: Tensor  # float32 (N, C, S, S), normalised
    targets: Tensor  # int64 (N,)
    classes: int
    folder: Path  # where jobs, results and checkpoints lie


def train_task(worker: Worker, name: str, how: str = "ddp", dies: int | None = None, **plan) -> dict:
    """Train with the other processes, from a checkpoint if there is one; process 0 leaves the weights in NAME.pt.

    how: "ddp" (everybody holds everything) or "fsdp" (each holds a part). dies: the epoch after which the last process
    kills itself, the first time round.
    """
    plan = Plan(**plan)
    if plan.batch % worker.world:
        raise ValueError(f"the joined batch of {plan.batch} is to be a multiple of the {worker.world} processes")
    model = small_net(plan, worker.images.shape[1], worker.classes).to(worker.device)
    model = shard_weights(model) if how == "fsdp" else DistributedDataParallel(model)
    optimizer, checkpoint, first = sgd(model, plan), worker.folder / f"{name}.checkpoint", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=worker.device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"] + 1

    def on_epoch(epoch: int) -> None:
        if dies is None:
            return
        if worker.rank == 0:
            with atomic_path(checkpoint) as path:
                torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, path)
        dist.barrier()  # nobody goes on, or dies, before the checkpoint is whole
        if epoch == dies and first == 0 and worker.rank == worker.world - 1:
            os.kill(os.getpid(), 9)  # as when the machine loses its power

    train_share(
        model, optimizer, worker.images, worker.targets, plan,
        rank=worker.rank, world=worker.world, first=first, on_epoch=on_epoch,
    )  # fmt: skip
    weights = {key.removeprefix("module."): whole(value) for key, value in model.state_dict().items()}
    if worker.rank == 0:
        with atomic_path(worker.folder / f"{name}.pt") as path:
            torch.save(weights, path)
    moments = [value for state in optimizer.state.values() for value in state.values() if value is not None]
    return {"first": first, "weights": held(model.parameters()), "moments": held(moments)}


def shard_weights(model: nn.Sequential) -> nn.Module:
    """FSDP2: each layer's weights are spread over the processes and fetched only while the layer computes."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard  # here, since importing it takes seconds

    kind = next(model.parameters()).device.type
    mesh = init_device_mesh(kind, (dist.get_world_size(),))
    model = model.to(memory_format=torch.contiguous_format)  # FSDP2 splits no other
    for layer in model:
        if list(layer.parameters()):
            fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def whole(value: Tensor) -> Tensor:
    """A tensor in full, wherever its parts lie. All processes must ask together."""
    return (value.full_tensor() if hasattr(value, "full_tensor") else value).detach().cpu()


def held(tensors) -> int:
    """Bytes that this process holds of some tensors."""
    local = [value.to_local() if hasattr(value, "to_local") else value for value in tensors]
    return sum(value.numel() * value.element_size() for value in local)


def answer_task(worker: Worker, name: str, weights: str, **plan) -> dict:
    """Logits of this process's share of the scans, in order, as the file NAME-RANK.npy."""
    plan = Plan(**plan)
    model = small_net(plan, worker.images.shape[1], worker.classes).to(worker.device).eval()
    model.load_state_dict(torch.load(worker.folder / f"{weights}.pt", weights_only=True))
    rows = share(len(worker.images), worker.rank, worker.world)
    with torch.inference_mode():
        parts = [model(part).cpu().numpy() for part in worker.images[rows].split(256)]
    with atomic_path(worker.folder / f"{name}-{worker.rank}.npy") as path:
        np.save(path, np.concatenate(parts))
    return {"rows": rows.stop - rows.start}


def clock_task(worker: Worker, name: str, sizes: Sequence[int], repeats: int = 10, **plan) -> dict:
    """Seconds: of an all-reduce of `sizes` floats, of a step on the whole batch alone, of a shared step."""
    plan = Plan(**plan)
    reduce = {}
    for size in sizes:
        numbers = torch.zeros(size, device=worker.device)
        reduce[str(4 * size)] = median_seconds(lambda numbers=numbers: dist.all_reduce(numbers), repeats)
    alone = small_net(plan, worker.images.shape[1], worker.classes).to(worker.device)
    together = DistributedDataParallel(small_net(plan, worker.images.shape[1], worker.classes).to(worker.device))

    def step(model: nn.Module, scans: int) -> None:
        F.cross_entropy(model(worker.images[:scans]), worker.targets[:scans]).backward()

    report = {"all-reduce": reduce}
    for label, scans in (("joined batch", plan.batch), ("its share", plan.batch // worker.world)):
        if worker.rank == 0:  # the others wait, so that nothing else computes
            report[label] = median_seconds(lambda scans=scans: step(alone, scans), repeats)
        dist.barrier()
    report["shared step"] = median_seconds(lambda: step(together, plan.batch // worker.world), repeats)
    return report


def late_task(worker: Worker, name: str, patience: float) -> dict:
    """One process comes too late to an exchange whose limit is `patience` seconds: what the others see, and when."""
    group, start, error = dist.new_group(timeout=timedelta(seconds=patience)), time.perf_counter(), None
    try:
        if worker.rank == worker.world - 1:
            time.sleep(2 * patience)
        dist.all_reduce(torch.zeros(1, device=worker.device), group=group)
    except RuntimeError as problem:
        error = str(problem).split("] ")[-1].splitlines()[0]
    return {"seconds": time.perf_counter() - start, "error": error}


def sync_norm_task(worker: Worker, name: str, **plan) -> dict:
    """Try batch normalisation over all processes; the report says how it was refused, if it was."""
    model = small_net(replace(Plan(**plan), norm="batch"), worker.images.shape[1], worker.classes).to(worker.device)
    try:
        DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(model))(worker.images[:4])
    except ValueError as problem:
        return {"error": str(problem)}
    return {"error": None}


TASKS = {
    "train": train_task, "answer": answer_task, "clock": clock_task, "late": late_task, "sync norm": sync_norm_task,
}  # fmt: skip


def work(job: dict, folder: Path) -> None:
    """What each process under torchrun does: join the group, do the job's tasks in order, report each, leave.

    A task that all processes have reported is not done again when torchrun starts them a second time.
    """
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local = int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local) if job["device"] == "cuda" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=job["patience"]))
    scans = np.load(folder / "scans.npz", allow_pickle=False)
    images, targets = (torch.from_numpy(scans[key]).to(device) for key in ("images", "targets"))
    worker = Worker(rank, world, device, images, targets, job["classes"], folder)
    attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))
    for task in job["tasks"]:
        options = {key: value for key, value in task.items() if key not in ("name", "do")}
        reports = [report_path(folder, task["name"], other) for other in range(world)]
        done = all(path.exists() for path in reports)  # by all of them, before a restart
        dist.barrier()  # everybody has looked before anybody writes; what was written before may be read
        if not done:
            report = TASKS[task["do"]](worker, task["name"], **options) | {"attempt": attempt}
            with atomic_path(reports[rank]) as path:
                path.write_text(to_json(report), encoding="utf-8")
    dist.destroy_process_group()


def main(path: str) -> None:
    """Do the job in the file at `path`."""
    end_with_parent()
    torch.set_num_threads(1)
    file = Path(path)
    job = json.loads(file.read_text(encoding="utf-8"))
    if "storage" in job:
        from course_utils.scale.searching import search  # needs Optuna, which a training does not

        search(job, file.parent)
    else:
        work(job, file.parent)


if __name__ == "__main__":
    main(sys.argv[1])

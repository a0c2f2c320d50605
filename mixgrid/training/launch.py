"""Several processes for one training, on one machine: one a GPU, or CPU processes that talk through gloo.

    ledger = launch(work, processes=8)

torch's launcher starts `python -m mixgrid.training.launch ORDER_FILE` as often as asked; each process makes its part of
the step, the first one writes the files. They end with the process that started them, whatever ended it: a named pipe
that it holds open closes then.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

from mixgrid.errors import DamagedArtifact, MixgridError, StepError
from mixgrid.steps import Work

_TAIL = 2000


def launch(work: Work, *, processes: int) -> dict[str, Any]:
    """Make the step's files with `processes` processes; returns the ledger. Raises StepError with their last words."""
    with tempfile.TemporaryDirectory(prefix="mixgrid-launch-") as folder, tempfile.TemporaryFile("w+") as log:
        alive, orders, answers = (Path(folder) / name for name in ("alive", "order.json", "answers.jsonl"))
        os.mkfifo(alive)
        answers.touch()
        order, store = work.origin()
        document = {"store": store.url, "folder": str(work.folder), "order": order.model_dump(mode="json")}
        orders.write_text(json.dumps(document))
        command = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "--log-dir", folder]
        launcher = subprocess.Popen(
            [sys.executable, "-m", *command, "-m", "mixgrid.training.launch", str(orders)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(),
        )  # fmt: skip
        holder = os.open(alive, os.O_RDWR)  # not only for writing: that would wait for a reader
        try:
            answer = _listen(answers, launcher, work)
        finally:
            os.close(holder)
            launcher.terminate()
            launcher.wait()
        if "ledger" in answer:
            return dict(answer["ledger"])
        if "damaged" in answer:
            raise DamagedArtifact(*answer["damaged"])
        raise StepError(answer.get("error") or f"the training processes ended: {_last_words(log)}")


def _listen(answers: Path, launcher: "subprocess.Popen[bytes]", work: Work) -> dict[str, Any]:
    """Pass progress on until the end; returns the last message."""
    line = ""
    with answers.open() as lines:
        while True:
            ended = launcher.poll() is not None
            while part := lines.readline():
                line += part
                if not line.endswith("\n"):
                    continue  # it is still being written
                message: dict[str, Any] = json.loads(line)
                line = ""
                if "progress" not in message:
                    launcher.wait()
                    return message
                work.progress(*message["progress"])
            if ended:
                return {}
            try:
                launcher.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parent.parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}


def _last_words(log: IO[str]) -> str:
    log.seek(0)
    return log.read()[-_TAIL:].strip()


def main(order_file: str) -> None:
    """One of the processes."""
    from mixgrid.execute import WorkOrder, prepare
    from mixgrid.steps.sft import train
    from mixgrid.store import Store

    path = Path(order_file)
    threading.Thread(target=_leave_with_parent, args=(path.parent / "alive",), daemon=True).start()
    document, first = json.loads(path.read_text()), os.environ["RANK"] == "0"
    answers = (path.parent / "answers.jsonl").open("a", buffering=1)

    def say(**message: Any) -> None:
        if first or "error" in message or "damaged" in message:
            answers.write(json.dumps(message) + "\n")

    try:
        work = prepare(
            WorkOrder.model_validate(document["order"]),
            Store(document["store"], warn=lambda message: print(message, file=sys.stderr)),
            folder=Path(document["folder"]),
            progress=lambda share, text: say(progress=[share, text]),
        )
        ledger = train(work)
    except DamagedArtifact as error:
        say(damaged=[error.folder, error.detail])
        raise
    except MixgridError as error:
        say(error=str(error))
        raise
    except Exception as error:
        say(error=f"{type(error).__name__}: {error}")  # the launcher's own report would hide it
        raise
    import torch.distributed

    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    say(ledger=ledger)


def _leave_with_parent(alive: Path) -> None:
    with alive.open() as pipe:
        pipe.read()  # until nobody holds it open for writing
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])

"""A Prefect server as a child process that never outlives its parent, not even a parent that was killed.

    python -m flows.embedded_server no-ui     prints {"port": 43127}, then serves until its standard input closes

Prefect's own ephemeral server goes on for ever when the process that started it is killed with -9. It is the same
application with the same database (PREFECT_HOME) as `prefect server start`.
"""

import json
import os
import socket
import sys
import threading
from typing import NoReturn


def main(ui: str) -> None:
    """Serve on a free port of the loopback interface."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    os.environ["PREFECT_UI_ENABLED"] = "1" if ui == "ui" else "0"
    os.environ["PREFECT_UI_API_URL"] = f"http://127.0.0.1:{port}/api"
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    print(json.dumps({"port": port}), flush=True)  # before the long imports: whoever waits can watch the port
    threading.Thread(target=_leave_with_parent, daemon=True).start()

    import uvicorn
    from prefect.server.api.server import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="error", lifespan="on"))
    server.run(sockets=[listener])


def _leave_with_parent() -> NoReturn:
    while sys.stdin.read(1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])

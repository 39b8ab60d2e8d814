"""What one piece of work took: wall clock, processor time of the tool and of each server, largest resident memory."""

import os
import signal
import statistics
import subprocess
import time
from dataclasses import dataclass


@dataclass
class Took:
    """Seconds, and MiB of the largest process of the tool."""

    seconds: float
    tool: float = 0.0
    source: float = 0.0
    target: float = 0.0
    memory: float = 0.0


class Meter:
    """Measures work against a pair of servers."""

    def __init__(self, servers):
        self.servers = servers

    def shell(self, script, env=None):
        """Runs a bash script with `pipefail`; its processes are the tool."""
        return self.command(["bash", "-euo", "pipefail", "-c", script], env)

    def command(self, command, env=None, until=None):
        """Runs a command to its end, or until `until()` holds, which ends it."""
        source, target = self.servers.source.cpu(), self.servers.target.cpu()
        started = time.monotonic()
        log = os.path.join(self.servers.folder, "tool.log")
        with open(log, "wb") as told:
            process = subprocess.Popen(command, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE if until is None else told,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        if until is not None:
            while not until():
                if process.poll() is not None:
                    raise SystemExit(f"bench: error: {' '.join(command)[:200]} ended early with {process.returncode}:\n" + open(log).read()[-3000:])
                time.sleep(0.05)
            seconds = time.monotonic() - started
            os.killpg(process.pid, signal.SIGTERM)  # with the processes that it has started
            output = b""
        else:
            output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if until is None:
            seconds = time.monotonic() - started
            if process.returncode:
                raise SystemExit(f"bench: error: {' '.join(command)[:200]} ended with {process.returncode}:\n{output.decode()[-3000:]}")
        return Took(seconds, usage.ru_utime + usage.ru_stime, self.servers.source.cpu() - source,
                    self.servers.target.cpu() - target, usage.ru_maxrss / 1024)


def median(values):
    return statistics.median(values)


def of(runs, field):
    """The median of a field over runs."""
    return median([getattr(run, field) for run in runs])

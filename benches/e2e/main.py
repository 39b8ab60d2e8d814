"""Runs the comparisons and writes the dated table. Called by scripts/bench, which installs what it needs."""

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile

from lines import Bench
from measure import Meter
from servers import Servers

LINES = ["copy", "write", "oltp", "insert", "latency", "huge", "lab", "scaling", "steady"]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Speed against the clients alone and against peers, in one run.")
    parser.add_argument("lines", nargs="*", choices=[[], *LINES], help=f"what to measure (default: all): {' '.join(LINES)}")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, of which the median counts")
    parser.add_argument("--peer-runs", type=int, default=3, help="runs of pg_chameleon over a backlog")
    parser.add_argument("--no-peers", action="store_true", help="only Sirenia and the clients alone")
    parser.add_argument("--small", action="store_true", help="a tenth of the rows, to try the bench itself; writes no results")
    parser.add_argument("--rate", help="transactions a second of the steady load, or `max`: as many as the source takes (default: half of oltp's rate)")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--chameleon", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--lab", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    wanted = options.lines or LINES
    if options.no_peers:
        options.peer_runs = 0
    part = 10 if options.small else 1
    reports = []
    with tempfile.TemporaryDirectory(prefix="sirenia-bench-") as folder, Servers(folder) as servers:
        bench = Bench(servers, Meter(servers), options)
        run = {
            "copy": lambda: bench.first_copy(2_000_000 // part, peers=not options.no_peers),
            "write": lambda: bench.write_only(200_000 // part),
            "oltp": lambda: bench.oltp(500_000 // part),
            "insert": lambda: bench.inserts(1_000_000 // part),
            "latency": bench.latency,
            "huge": lambda: bench.huge(2048 // part),
            "lab": lambda: bench.lab(389, 2_847_563 // part),
            "scaling": bench.scaling,
            "steady": lambda: bench.steady(rate_of(options, reports), 10 if part == 1 else 1),
        }
        for line in LINES:
            if line in wanted:
                bench.say(line)
                reports.append(run[line]())
                print(text_of(reports[-1]), flush=True)
        versions = f"MariaDB {servers.source.run('SELECT VERSION()')[0][0]}, PostgreSQL {servers.target.run('SHOW server_version')[0][0]}"
    if not options.small:
        path = write(reports, versions, options)
        print(f"bench: written to {path}")


def rate_of(options, reports):
    """The steady load's rate, 0 for `max`: half the rate at which the OLTP backlog was worked off in this run, or another."""
    if options.rate:
        return 0 if options.rate == "max" else int(options.rate)
    for report in reports:
        if "OLTP" in report.title:
            return int(report.rows[0][2].replace(",", "")) // 2
    raise SystemExit("bench: error: the steady load needs a rate\n\nhint: measure oltp too, or give --rate")


def text_of(report):
    lines = [f"### {report.title}", "", "| " + " | ".join(report.head) + " |", "| " + " | ".join("---" for _ in report.head) + " |"]
    lines += ["| " + " | ".join(row) + " |" for row in report.rows]
    if report.notes:
        lines += [""] + [f"- {note}" for note in report.notes]
    return "\n".join(lines) + "\n"


def write(reports, versions, options):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    path = os.path.join(root, "benches", "results", f"{date}.md")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    commit = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    arguments = [word for word in sys.argv[1:] if not word.startswith(("--program", "--chameleon", "--lab"))]
    existing = open(path).read() if os.path.exists(path) else f"# End to end, {date}\n\nFigures are medians of the runs; see [the bench](../README.md) for what is compared.\n"
    with open(path, "w") as out:
        out.write(existing)
        out.write(f"\n## `{' '.join(['scripts/bench', *arguments])}`\n\ncommit {commit}; {os.cpu_count()} cores, {memory:,} MB of memory, Linux "
                  f"{platform.release().split('-')[0]}; {versions}; {options.runs} runs\n\n")
        out.write("\n".join(text_of(report) for report in reports))
    return path


if __name__ == "__main__":
    main()

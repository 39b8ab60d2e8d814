"""What is measured. Each function is one comparison: it makes its data, runs the tools in turn on the same data and with the
same servers, `runs` times over, and returns rows for the report."""

import multiprocessing
import os
import subprocess
import time
from dataclasses import dataclass, field

import backlog
from measure import median, of
from tools import Chameleon, Clients, PgLoader, Sirenia
from workloads import Workloads, single_rows, watch_rows


@dataclass
class Report:
    """A table, and notes under it."""

    title: str
    head: list
    rows: list = field(default_factory=list)
    notes: list = field(default_factory=list)


def ratio(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def usage(took):
    """The columns that every table ends in."""
    return [f"{of(took, 'tool'):.2f}", f"{of(took, 'source'):.2f}", f"{of(took, 'target'):.2f}", f"{of(took, 'memory'):.0f}"]


def fill(report, runs):
    """A row for each tool, with how long Sirenia takes for one second of its."""
    ours = of(runs["sirenia"], "seconds")
    for name, took in runs.items():
        if took:
            seconds = of(took, "seconds")
            report.rows.append([name, f"{seconds:.2f}", ratio(ours / seconds), *usage(took)])


def same(target, databases, tables):
    """Whether all databases hold the same rows: a comparison of speed is none otherwise."""
    for table in tables:
        seen = {}
        for database, schema in databases:
            names = target.run("SELECT column_name FROM information_schema.columns WHERE (table_schema, table_name) = "
                               f"('{schema}', '{table}') ORDER BY ordinal_position", database)
            # a peer may pad CHAR; unordered sums of hashes need no sort
            row = ", ".join(f"rtrim({name}::text)" for name, in names)
            query = f"SELECT count(*), sum(hashtextextended(concat_ws('|', {row}), 0)) FROM {schema}.{table}"
            seen[f"{database}.{schema}"] = target.run(query, database)[0]
        if len(set(seen.values())) != 1:
            raise SystemExit(f"bench: error: {table} differs: {seen}")


class Bench:
    def __init__(self, servers, meter, options):
        self.servers, self.meter, self.options = servers, meter, options
        self.work = Workloads(servers)
        self.runs = options.runs

    def say(self, text):
        print(f"bench: {time.strftime('%H:%M:%S')} {text}", flush=True)

    def timed(self, name, command, environment=None, until=None):
        self.servers.target.settle()
        took = self.meter.command(command, environment, until)
        self.say(f"  {name:14} {took.seconds:7.2f} s  cpu: tool {took.tool:6.2f}, source {took.source:6.2f}, target {took.target:6.2f}"
                 f"  {took.memory:5.0f} MiB")
        return took

    def sirenia(self, source, target):
        return Sirenia(self.servers, self.options.program, source, target)

    def copy_schema(self, source, pre, post):
        """The tables that Sirenia made, for the clients alone: without and with what is built behind the rows."""
        target = self.servers.target
        for path, section in ((pre, "pre-data"), (post, "post-data")):
            dump = subprocess.run([f"{target.bin}/pg_dump", "-n", "public", f"--section={section}", target.url(source)],
                                  check=True, capture_output=True, text=True).stdout
            lines = [line for line in dump.splitlines() if not line.startswith(("CREATE SCHEMA", "SELECT pg_catalog.set_config"))]
            with open(path, "w") as out:
                out.write("\n".join(lines))

    def followed(self, source):
        """Sirenia with its first copy of that database made, in the target's database `ours`."""
        ours = self.sirenia(source, "ours")
        self.servers.target.make("ours")
        self.meter.command(ours.once(), ours.environment)
        return ours

    def twin(self):
        """The target once more, for the clients alone."""
        target = self.servers.target
        target.run('DROP DATABASE IF EXISTS "clients"')
        target.run('CREATE DATABASE "clients" TEMPLATE "ours"')
        target.run("DROP SCHEMA sirenia CASCADE", "clients")

    # ---- 1, 8: the first copy ---------------------------------------------------------------------------------------

    def first_copy(self, rows=2_000_000, tables=4, peers=True):
        target = self.servers.target
        self.work.sysbench_tables("sb", tables, rows // tables)
        ours = self.sirenia("sb", "ours")
        runs = {name: [] for name in ("sirenia", "clients", "pgloader", "pg_chameleon")}
        pre, post = f"{self.servers.folder}/pre.sql", f"{self.servers.folder}/post.sql"
        names = [f"sbtest{number}" for number in range(1, tables + 1)]
        reads = [(name, f"SELECT * FROM {name}") for name in names]
        for _ in range(self.runs):
            target.make("ours")
            runs["sirenia"].append(self.timed("sirenia", ours.once(), ours.environment))
            self.copy_schema("ours", pre, post)
            target.make("clients")
            subprocess.run(target.client("clients", "-f", pre), check=True)
            script = Clients(self.servers, "sb", "clients").copy(reads, post)
            runs["clients"].append(self.timed("clients", ["bash", "-euo", "pipefail", "-c", script]))
            same(target, [("ours", "public"), ("clients", "public")], names)
            if not peers:
                continue
            target.make("loader")
            runs["pgloader"].append(self.timed("pgloader", PgLoader(self.servers, "sb", "loader").command()))
            target.make("chameleon")
            peer = Chameleon(self.servers, self.options.chameleon, "sb", "chameleon")
            peer.prepare()
            runs["pg_chameleon"].append(self.timed("pg_chameleon", peer.first_copy(), peer.environment))
            same(target, [("ours", "public"), ("loader", "sb"), ("chameleon", "replica")], names)
        report = Report(f"First copy of {rows:,} sysbench rows in {tables} tables, with all indexes",
                        ["tool", "s", "Sirenia ÷ it", "CPU tool", "CPU source", "CPU target", "MiB"])
        fill(report, runs)
        report.notes.append(f"Sirenia's CPU ÷ the clients': {ratio(of(runs['sirenia'], 'tool') / of(runs['clients'], 'tool'))}")
        return report

    # ---- 2, 3: a backlog --------------------------------------------------------------------------------------------

    def backlog(self, title, database, tables, make, change, peer_runs):
        target = self.servers.target
        make()
        ours = self.followed(database)
        self.twin()
        peer = None
        if peer_runs:
            target.make("chameleon")
            peer = Chameleon(self.servers, self.options.chameleon, database, "chameleon")
            peer.prepare()
            self.meter.command(peer.first_copy(), peer.environment)
        runs = {name: [] for name in ("sirenia", "clients", "pg_chameleon")}
        counted = []
        for number in range(1, self.runs + 1):
            since = self.work.position()
            change()
            self.work.mark(database, number)
            before = commits(target, "ours")
            runs["sirenia"].append(self.timed("sirenia", ours.once(), ours.environment))
            made = commits(target, "ours") - before
            script = f"{self.servers.folder}/apply.sql"
            changes, batches = backlog.write(ours.tail(since), {**os.environ, **ours.environment}, 20_000, script)
            counted.append((changes, batches, made))
            command = ["bash", "-euo", "pipefail", "-c", Clients(self.servers, database, "clients").apply(script, since)]
            runs["clients"].append(self.timed("clients", command))
            same(target, [("ours", "public"), ("clients", "public")], tables)
            if number <= peer_runs:
                peer.allow()
                with target.connect("chameleon") as watch, watch.cursor() as cursor:
                    def there():
                        cursor.execute(f"SELECT 1 FROM replica.marker WHERE id = {number}")
                        return cursor.fetchone() is not None
                    runs["pg_chameleon"].append(self.timed("pg_chameleon", peer.follow(), peer.environment, there))
                same(target, [("ours", "public"), ("chameleon", "replica")], tables)
        changes = median([count for count, _, _ in counted])
        report = Report(title, ["tool", "s", "changes/s", "Sirenia's rate ÷ its", "CPU tool", "CPU source", "CPU target", "MiB"])
        rates = {name: median([count / run.seconds for (count, _, _), run in zip(counted, took)]) for name, took in runs.items() if took}
        for name, rate in rates.items():
            took = runs[name]
            report.rows.append([name, f"{of(took, 'seconds'):.2f}", f"{rate:,.0f}", ratio(rates["sirenia"] / rate), *usage(took)])
        report.notes += [
            f"{changes:,.0f} changes; the clients apply them in {median([b for _, b, _ in counted]):.0f} transactions, Sirenia in about "
            f"{median([made for _, _, made in counted]):.0f} (all of its sessions' counted)",
            f"Sirenia's CPU ÷ PostgreSQL's: {ratio(of(runs['sirenia'], 'tool') / of(runs['sirenia'], 'target'))}",
        ]
        if peer:
            report.notes.append(f"pg_chameleon: {len(runs['pg_chameleon'])} runs")
        return report

    def write_only(self, changes=200_000):
        tables, rows = 4, 500_000
        return self.backlog(
            f"Backlog of {changes:,} sysbench write-only changes", "sb", [f"sbtest{number}" for number in range(1, tables + 1)],
            lambda: self.work.sysbench_tables("sb", tables, rows), lambda: self.work.write_only("sb", tables, rows, changes),
            min(self.runs, self.options.peer_runs))

    def oltp(self, transactions=500_000):
        return self.backlog(
            f"Backlog of {transactions:,} single-row transactions, OLTP shape", "oltp", [f"oltp{number}" for number in range(1, 11)],
            lambda: self.work.oltp_tables("oltp"), lambda: self.work.oltp("oltp", transactions), min(self.runs, self.options.peer_runs))

    # ---- 4: inserts alone -------------------------------------------------------------------------------------------

    def inserts(self, rows=1_000_000):
        target = self.servers.target
        self.work.insert_table("ins")
        ours = self.followed("ins")
        self.twin()
        runs = {"sirenia": [], "psql COPY": []}
        data = f"{self.servers.folder}/rows.tsv"
        for number in range(self.runs):
            first = number * rows + 1
            self.work.inserts("ins", first, rows)
            with open(data, "wb") as out:
                select = f"SELECT * FROM ins WHERE id >= {first}"
                subprocess.run(self.servers.source.client("ins", "--quick", "--batch", "--skip-column-names", "-e", select), stdout=out, check=True)
            runs["sirenia"].append(self.timed("sirenia", ours.once(), ours.environment))
            runs["psql COPY"].append(self.timed("psql COPY", target.client("clients", "-c", f"\\copy ins FROM '{data}'")))
            same(target, [("ours", "public"), ("clients", "public")], ["ins"])
        report = Report(f"Backlog of {rows:,} inserted rows, 1,000 a transaction",
                        ["tool", "s", "rows/s", "Sirenia's rate ÷ its", "CPU tool", "CPU source", "CPU target", "MiB"])
        first = of(runs["sirenia"], "seconds")
        for name, took in runs.items():
            seconds = of(took, "seconds")
            report.rows.append([name, f"{seconds:.2f}", f"{rows / seconds:,.0f}", ratio(seconds / first), *usage(took)])
        return report

    # ---- 6: latency -------------------------------------------------------------------------------------------------

    def latency(self, per_second=1_000, seconds=20):
        source, target = self.servers.source, self.servers.target
        report = Report(f"Latency at {per_second:,} single-row commits a second for {seconds} s",
                        ["run", "psql commit ms", "p50 ms from before the INSERT", "p99", "p50 ms from its acknowledgement", "p99",
                         "÷ commit: p50", "p99", "p50 from acknowledgement", "p99", "CPU tool", "MiB"])
        results = []
        for number in range(1, self.runs + 1):
            self.work.make("tick")
            source.run("CREATE TABLE ticks (id BIGINT NOT NULL PRIMARY KEY, t VARCHAR(200) NOT NULL)", "tick")
            target.make("ours")
            ours = self.sirenia("tick", "ours")
            commit = self.durable_commit()
            seen, state = multiprocessing.Queue(), {}

            def until():
                following = target.run("SELECT to_regclass('sirenia.checkpoint') IS NOT NULL", "ours")[0][0] and \
                    target.run("SELECT count(*) FROM sirenia.checkpoint WHERE phase = 'follow'", "ours")[0][0]
                if not following:
                    return False
                watcher = multiprocessing.Process(target=watch_rows, args=(target, "ours", per_second * seconds, seen))
                watcher.start()
                time.sleep(0.5)
                state["sent"], state["known"] = single_rows(source, "tick", per_second, per_second * seconds)
                state["seen"] = seen.get()
                watcher.join()
                return True

            took = self.timed("sirenia", ours.follow(), ours.environment, until)
            delays = {"sent": [], "known": []}
            last = 0
            for moment, highest in state["seen"]:
                for name, of_row in delays.items():
                    of_row += [max(moment - at, 0) for at in state[name][last:highest]]
                last = highest
            if last != per_second * seconds:
                raise SystemExit(f"bench: error: {last} rows of {per_second * seconds} were seen")
            part = lambda name, share: sorted(delays[name])[int(last * share)] * 1e3
            p50, p99, known50, known99 = part("sent", 0.5), part("sent", 0.99), part("known", 0.5), part("known", 0.99)
            results.append((commit, p50, p99, known50, known99, p50 / commit, p99 / commit, known50 / commit, known99 / commit,
                            took.tool, took.memory))
            report.rows.append([str(number), *(f"{value:.2f}" for value in results[-1])])
        report.rows.append(["median", *(f"{median([r[i] for r in results]):.2f}" for i in range(11))])
        report.notes.append("Until a polling session sees the row on the target; from before the autocommitted INSERT is sent to the source, "
                            "and from when the source has acknowledged its commit.")
        return report

    def durable_commit(self):
        """Milliseconds of psql's own one-row commit, the median of 2,000."""
        target = self.servers.target
        target.run("CREATE TABLE IF NOT EXISTS public.commits (id bigint PRIMARY KEY, t varchar(200))", "postgres")
        target.run("TRUNCATE public.commits", "postgres")
        script = f"{self.servers.folder}/commits.sql"
        with open(script, "w") as out:
            out.write("\\timing on\n")
            out.writelines(f"INSERT INTO commits VALUES ({number}, repeat('x', 100));\n" for number in range(2_000))
        output = subprocess.run(target.client("postgres", "-f", script), check=True, capture_output=True, text=True).stdout
        return median([float(line.split()[1]) for line in output.splitlines() if line.startswith("Time:")])

    # ---- 7: one huge transaction ------------------------------------------------------------------------------------

    def huge(self, mib=2048):
        target = self.servers.target
        self.work.insert_table("huge")
        ours = self.followed("huge")
        rows = mib * (1 << 20) // 220
        since = self.work.position()
        self.work.inserts("huge", 1, rows, each=rows)
        logged = self.servers.source.run("SHOW BINARY LOGS")
        self.say(f"  {rows:,} rows; the log from {since} on: {logged[-2:]}")
        took = self.timed("sirenia", ours.once(), ours.environment)
        same(target, [("ours", "public")], ["ins"])
        there = target.run("SELECT count(*) FROM ins", "ours")[0][0]
        if there != rows:
            raise SystemExit(f"bench: error: {there} rows of {rows} arrived")
        report = Report(f"One transaction of {mib:,} MiB", ["rows", "s", "MiB resident", "CPU tool", "CPU target"])
        report.rows.append([f"{rows:,}", f"{took.seconds:.1f}", f"{took.memory:.0f}", f"{took.tool:.2f}", f"{took.target:.2f}"])
        return report

    # ---- 9: the lab -------------------------------------------------------------------------------------------------

    def lab(self, tables, rows):
        source, target = self.servers.source, self.servers.target
        self.work.make("lab")
        source.run("DROP TABLE marker", "lab")
        generate = subprocess.Popen([self.options.lab, str(tables), str(rows)], stdout=subprocess.PIPE)
        subprocess.run(source.client("lab"), stdin=generate.stdout, check=True)
        if generate.wait():
            raise SystemExit("bench: error: cannot make the lab")
        ours = self.sirenia("lab", "ours")
        runs = {"sirenia": [], "clients": []}
        pre, post = f"{self.servers.folder}/pre.sql", f"{self.servers.folder}/post.sql"
        for _ in range(self.runs):
            target.make("ours")
            runs["sirenia"].append(self.timed("sirenia", ours.once(), ours.environment))
            self.copy_schema("ours", pre, post)
            target.make("clients")
            subprocess.run(target.client("clients", "-f", pre), check=True)
            script = f"{self.servers.folder}/lab.sh"
            with open(script, "w") as out:
                out.write("set -euo pipefail\n" + Clients(self.servers, "lab", "clients").copy(self.as_text("lab"), post))
            runs["clients"].append(self.timed("clients", ["bash", script]))
        names = [name for name, in target.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "ours")]
        count = lambda run, quoted, database: [run(f"SELECT count(*) FROM {quoted(name)}", database)[0][0] for name in names]
        rows = count(source.run, lambda name: f"`{name}`", "lab")
        for database in ("ours", "clients"):
            if count(target.run, lambda name: f'"{name}"', database) != rows:
                raise SystemExit(f"bench: error: {database} has not the source's rows")
        there, copied = len(names), sum(rows)
        report = Report(f"The lab's database: {there} tables, {copied:,} rows, all indexes and keys",
                        ["tool", "s", "Sirenia ÷ it", "CPU tool", "CPU source", "CPU target", "MiB"])
        fill(report, runs)
        return report

    def as_text(self, database):
        """A SELECT of each table's columns as psql's COPY takes them for the types on the target."""
        forms = {"bit": "CAST({0} AS UNSIGNED)", "set": "CONCAT('{{', {0}, '}}')", "binary": "CONCAT('\\\\x', HEX({0}))",
                 "date": "IF({0} = 0, NULL, {0})"}
        kind = {"varbinary": "binary", "blob": "binary", "tinyblob": "binary", "mediumblob": "binary", "longblob": "binary",
                "datetime": "date", "timestamp": "date"}
        generated = {tuple(row) for row in self.servers.target.run(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND is_generated = 'ALWAYS'", "ours")}
        tables = {}
        for table, column, type_, schema in self.servers.source.run(
                "SELECT table_name, column_name, data_type, table_schema FROM information_schema.columns "
                f"WHERE table_schema = '{database}' ORDER BY table_name, ordinal_position"):
            if (table, column) not in generated:
                form = forms.get(kind.get(type_, type_), "{0}")
                tables.setdefault(table, []).append((column, form.format(f"`{column}`")))
        return [(f'"{table}" (' + ", ".join(f'"{column}"' for column, _ in columns) + ")",
                 "SELECT " + ", ".join(expression for _, expression in columns) + f" FROM `{table}`")
                for table, columns in tables.items()]

    # ---- 10: scaling ------------------------------------------------------------------------------------------------

    def scaling(self):
        report = Report("Cost by size, first copy", ["rows", "tables", "s", "to 200,000 rows in 4 tables"])
        target, base = self.servers.target, None
        for rows, tables in ((200_000, 4), (2_000_000, 4), (200_000, 40)):
            self.work.sysbench_tables("scale", tables, rows // tables)
            ours = self.sirenia("scale", "ours")
            runs = []
            for _ in range(self.runs):
                target.make("ours")
                runs.append(self.timed(f"{rows}/{tables}", ours.once(), ours.environment))
            seconds = of(runs, "seconds")
            base = base or seconds
            report.rows.append([f"{rows:,}", str(tables), f"{seconds:.2f}", ratio(seconds / base)])
        return report

    def steady(self, per_second, minutes=10):
        target = self.servers.target
        self.work.oltp_tables("steady")
        ours = self.followed("steady")
        wanted = f"{per_second:,}" if per_second else "as many as the source takes of"
        report = Report(f"Steady load: {wanted} OLTP transactions a second for {minutes} minutes", ["minute", "median lag ms", "largest lag ms"])
        lags, before, started = [], self.work.transactions(), time.monotonic()
        with self.servers.source.connect("steady") as conn, conn.cursor() as mark, target.connect("ours") as seen, seen.cursor() as look:
            load = self.work.steady("steady", per_second, minutes * 60)

            def until():
                # the lag is what is asked of a user's clock: a marker, from before its commit to its being seen
                if load.poll() is not None:
                    return True
                sent, number = time.monotonic(), len(lags) + 1
                mark.execute(f"INSERT INTO marker VALUES ({number})")
                there = None
                while not there:
                    time.sleep(0.001)
                    look.execute(f"SELECT 1 FROM marker WHERE id = {number}")
                    there = look.fetchone()
                lags.append((sent - started, time.monotonic() - sent))
                time.sleep(0.25)
                return False

            took = self.timed("sirenia", ours.follow(), ours.environment, until)
        if load.returncode:
            raise SystemExit("bench: error: sysbench gave up, mostly since the source does not take so many\n\nhint: a lower --rate, or --rate max")
        reached = (self.work.transactions() - before) / took.seconds
        by_minute = {}
        for at, lag in lags:
            by_minute.setdefault(int(at // 60), []).append(lag * 1e3)
        for minute, values in sorted(by_minute.items()):
            report.rows.append([str(minute + 1), f"{median(values):.1f}", f"{max(values):.1f}"])
        times, values = [at for at, _ in lags], [lag for _, lag in lags]
        mean_t, mean_v = sum(times) / len(times), sum(values) / len(values)
        slope = sum((t - mean_t) * (v - mean_v) for t, v in zip(times, values)) / sum((t - mean_t) ** 2 for t in times)
        report.notes.append(f"slope of the lag: {slope * 1e3 * 60:.3f} ms a minute; {reached:,.0f} transactions a second reached; resident {took.memory:.0f} MiB")
        return report


def commits(target, database):
    time.sleep(1.2)  # PostgreSQL's statistics are up to a second old
    return target.run(f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}'")[0][0]

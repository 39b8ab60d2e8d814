"""The data and the changes that are compared: sysbench's, the OLTP shape, inserts alone, and one huge transaction."""

import os
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Workloads:
    """Makes databases on the source, and changes in them."""

    def __init__(self, servers):
        self.servers, self.source = servers, servers.source

    def sysbench(self, database, script, *arguments):
        subprocess.run(
            ["sysbench", "--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={self.source.port}", "--mysql-user=bench",
             "--mysql-password=bench", f"--mysql-db={database}", script, *arguments], check=True, stdout=subprocess.DEVNULL)

    def make(self, database):
        self.source.run(f"DROP DATABASE IF EXISTS {database}")
        self.source.run(f"CREATE DATABASE {database}")
        self.source.run("CREATE TABLE marker (id BIGINT NOT NULL PRIMARY KEY)", database)

    def position(self):
        file, offset, *_ = self.source.run("SHOW MASTER STATUS")[0]
        return f"{file}:{offset}"

    def transactions(self):
        """The number of the last transaction in the binlog."""
        return int(self.source.run("SELECT @@gtid_binlog_pos")[0][0].split("-")[2])

    # ---- sysbench -------------------------------------------------------------------------------------------------

    def sysbench_tables(self, database, tables, rows):
        self.make(database)
        self.sysbench(database, "oltp_write_only", f"--tables={tables}", f"--table-size={rows}", "--threads=2", "prepare")

    def write_only(self, database, tables, rows, changes):
        """Of each transaction's four statements every one changes a row: two updates, a delete, an insert."""
        self.sysbench(database, "oltp_write_only", f"--tables={tables}", f"--table-size={rows}", "--threads=4",
                      f"--events={changes // 4}", "--time=0", "run")

    # ---- the OLTP shape -------------------------------------------------------------------------------------------

    def oltp_tables(self, database, rows=10_000):
        self.make(database)
        self.sysbench(database, f"{HERE}/oltp.lua", f"--rows={rows}", "prepare")

    def oltp(self, database, transactions, *arguments):
        self.sysbench(database, f"{HERE}/oltp.lua", "--threads=4", f"--events={transactions}", "--time=0", *arguments, "run")

    # ---- inserts alone --------------------------------------------------------------------------------------------

    def insert_table(self, database):
        self.make(database)
        self.source.run("CREATE TABLE ins (id BIGINT NOT NULL PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL,"
                        " KEY k (k))", database)

    def inserts(self, database, first, rows, each=1_000):
        """Transactions of `each` rows with the ids from `first` on."""
        with self.source.connect(database) as conn, conn.cursor() as cursor:
            for start in range(first, first + rows, each):
                cursor.execute("INSERT INTO ins SELECT seq, seq * 7919 % 1000003, CONCAT(REPEAT(MD5(seq), 3), LEFT(MD5(seq + 1), 23)),"
                               f" LEFT(REPEAT(MD5(seq + 2), 2), 59) FROM seq_{start}_to_{start + each - 1}")

    # ---- steady load ----------------------------------------------------------------------------------------------

    def steady(self, database, per_second, seconds):
        """The OLTP shape at a steady rate, or with 0 as fast as it goes; returns the running process."""
        return subprocess.Popen(
            ["sysbench", "--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={self.source.port}", "--mysql-user=bench",
             "--mysql-password=bench", f"--mysql-db={database}", f"{HERE}/oltp.lua", "--threads=4", f"--rate={per_second}",
             f"--time={seconds}", "--events=0", "run"], stdout=subprocess.DEVNULL)

    def mark(self, database, number):
        """A last change, by which a tool that never ends is seen to have caught up."""
        self.source.run(f"INSERT INTO marker VALUES ({number})", database)


def single_rows(source, database, per_second, rows):
    """Single-row commits at a steady rate over one connection; the moments before each is sent and behind its
    acknowledgement, in the order of the ids."""
    sent, known = [], []
    with source.connect(database) as conn, conn.cursor() as cursor:
        started = time.monotonic()
        for number in range(1, rows + 1):
            due = started + number / per_second
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)
            sent.append(time.monotonic())
            cursor.execute(f"INSERT INTO ticks VALUES ({number}, REPEAT('x', 100))")
            known.append(time.monotonic())
    return sent, known


def watch_rows(target, database, rows, seen):
    """A process of its own, lest it waits for the other's turn: puts (moment, highest id that is seen) for every change."""
    found, last, until = [], 0, time.monotonic() + 120
    with target.connect(database) as conn, conn.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")  # else the plan is one for the empty table
        cursor.execute("PREPARE highest AS SELECT max(id) FROM ticks")
        while last < rows and time.monotonic() < until:
            cursor.execute("EXECUTE highest")
            highest = cursor.fetchone()[0] or 0
            if highest > last:
                found.append((time.monotonic(), highest))
                last = highest
            time.sleep(0.0002)
    seen.put(found)

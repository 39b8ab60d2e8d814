"""Private MariaDB and PostgreSQL servers for one bench, in a folder of their own; removed at the end.

Both keep what they have acknowledged through a crash of the server; PostgreSQL also through one of the machine, since its
commits are what is measured. Everything that is compared in one run meets the same servers with the same settings.
"""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

import psycopg2
import pymysql

MARIADB = [
    "--skip-name-resolve", "--bind-address=127.0.0.1", "--server-id=1", "--log-bin=binlog", "--binlog-format=ROW",
    "--binlog-row-image=FULL", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=2G", "--innodb-log-file-size=1G", "--max-allowed-packet=1G", "--character-set-server=utf8mb4",
    "--gtid-strict-mode=1", "--local-infile=OFF",
    "--binlog-row-metadata=FULL",  # without it pg_chameleon does not know the columns
]
POSTGRES = {
    "shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "maintenance_work_mem": "256MB",
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "autovacuum": "off", "max_connections": "50",
}
USER, PASSWORD = "bench", "bench"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process and its folder."""

    def __init__(self, folder, name):
        self.folder, self.port, self.process = os.path.join(folder, name), free_port(), None
        os.makedirs(self.folder)
        self.log = open(os.path.join(self.folder, "log"), "wb")

    def cpu(self):
        """Seconds of processor time that the server and its children have taken so far, those that have ended included."""
        return sum(cpu_of(pid) for pid in descendants(self.process.pid))

    def wait(self, connect):
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                return connect().close()
            except (psycopg2.Error, pymysql.MySQLError):
                time.sleep(0.1)
        raise SystemExit(f"bench: error: no server in {self.folder}; its log:\n" + open(self.log.name).read()[-2000:])

    def stop(self, how):
        if self.process:
            self.process.send_signal(how)
            self.process.wait()


class MariaDb(Server):
    def __init__(self, folder):
        super().__init__(folder, "mariadb")
        data = os.path.join(self.folder, "data")
        root = ["--user=root"] if os.geteuid() == 0 else []
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
             "--skip-test-db", *root], check=True, stdout=self.log, stderr=self.log)
        init = os.path.join(self.folder, "init.sql")
        with open(init, "w") as out:
            out.write(f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
                      f"GRANT ALL ON *.* TO '{USER}'@'%';\n")
        self.process = subprocess.Popen(
            [shutil.which("mariadbd", path=os.environ["PATH"] + ":/usr/sbin"), "--no-defaults", *root,
             f"--datadir={data}", f"--port={self.port}", f"--socket={self.folder}/socket", f"--init-file={init}",
             f"--tmpdir={self.folder}", *MARIADB], stdout=self.log, stderr=self.log)
        self.wait(self.connect)

    def connect(self, database=None):
        return pymysql.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=database,
                               autocommit=True, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)

    def run(self, sql, database=None):
        with self.connect(database) as conn, conn.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def client(self, database, *more):
        return ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-h", "127.0.0.1", "-P", str(self.port), "-u", USER, f"-p{PASSWORD}", *more, database]

    def url(self, database):
        return f"mysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"


class Postgres(Server):
    def __init__(self, folder):
        super().__init__(folder, "postgresql")
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))[-1]
        user, identity = {}, None
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            identity = pwd.getpwnam("postgres")
            user = {"user": identity.pw_uid, "group": identity.pw_gid, "extra_groups": []}
            os.chown(self.folder, identity.pw_uid, identity.pw_gid)
        data = os.path.join(self.folder, "data")
        secret = os.path.join(self.folder, "password")
        with open(secret, "w") as out:
            out.write(PASSWORD)
        if identity:
            os.chown(secret, identity.pw_uid, identity.pw_gid)
        subprocess.run([f"{self.bin}/initdb", "-D", data, "-U", USER, "--pwfile", secret, "--auth=md5", "--encoding=UTF8",
                        "--locale=C"], check=True, stdout=self.log, stderr=self.log, **user)
        settings = [word for key, value in {**POSTGRES, "port": self.port}.items() for word in ("-c", f"{key}={value}")]
        self.process = subprocess.Popen([f"{self.bin}/postgres", "-D", data, *settings], stdout=self.log, stderr=self.log, **user)
        self.wait(lambda: self.connect("postgres"))

    def connect(self, database):
        conn = psycopg2.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database)
        conn.autocommit = True
        return conn

    def run(self, sql, database="postgres"):
        conn = self.connect(database)
        try:
            with conn.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            conn.close()

    def make(self, database):
        """An empty database of that name, whatever was there."""
        self.run(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.run(f'CREATE DATABASE "{database}"')

    def settle(self):
        """Writes out what earlier work has left, so that no measurement pays for another."""
        self.run("CHECKPOINT")

    def client(self, database, *more):
        return [f"{self.bin}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *more, self.url(database)]

    def url(self, database):
        return f"postgres://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"


def descendants(root):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    children.setdefault(int(stat.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                pass
    found, rest = [], [root]
    while rest:
        pid = rest.pop()
        found.append(pid)
        rest.extend(children.get(pid, []))
    return found


def cpu_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")  # utime stime cutime cstime
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


class Servers:
    """Both servers in a folder, for a with block."""

    def __init__(self, folder):
        self.folder, self.running = folder, contextlib.ExitStack()

    def __enter__(self):
        os.chmod(self.folder, 0o755)  # PostgreSQL runs as another user
        with self.running:  # a server that does not start takes the other with it
            self.source = MariaDb(self.folder)
            self.running.callback(self.source.stop, signal.SIGTERM)
            self.target = Postgres(self.folder)
            self.running.callback(self.target.stop, signal.SIGINT)
            self.running = self.running.pop_all()
        return self

    def __exit__(self, *_):
        self.running.close()

"""The tools that are compared: Sirenia, the clients `mariadb` and `psql` alone ("the limit"), pgloader and pg_chameleon."""

import json
import os
import pwd
import shlex
import shutil
import subprocess
import textwrap

from servers import PASSWORD, USER


class Sirenia:
    """`sirenia run --once` with its default settings."""

    name = "sirenia"

    def __init__(self, servers, program, source, target):
        self.servers, self.program, self.target = servers, program, target
        self.environment = {
            "SIRENIA_SOURCE_URL": servers.source.url(source),
            "SIRENIA_TARGET_URL": servers.target.url(target),
            "SIRENIA_LOG": os.environ.get("SIRENIA_LOG", "warn"),
        }

    def once(self):
        return [self.program, "run", "--once", "--http-listen", "off"]

    def follow(self):
        return [self.program, "run", "--http-listen", "off"]

    def tail(self, since):
        """The source's changes from a binlog position until now, as JSON."""
        return [self.program, "tail", "--from", since, "--until", "now"]


class Clients:
    """The same work by `mariadb` and `psql` and nothing else."""

    name = "psql"

    def __init__(self, servers, source, target):
        self.servers, self.source, self.target = servers, source, target

    def copy(self, tables, after):
        """One table after the other; then the statements of `after`, the indexes."""
        source, target = self.servers.source, self.servers.target
        lines = []
        for table, select in tables:
            read = shlex.join(source.client(self.source, "--quick", "--batch", "--skip-column-names", "-e", select))
            write = shlex.join(target.client(self.target, "-c", f"COPY {table} FROM STDIN WITH (NULL 'NULL')"))
            lines.append(f"{read} | {write}")
        lines.append(shlex.join(target.client(self.target, "-f", after)))
        return "\n".join(lines)

    def apply(self, script, since):
        """Set-based statements from a file, while the source sends the same part of its binlog."""
        source, target = self.servers.source, self.servers.target
        file, offset = since.split(":")
        read = shlex.join(["mariadb-binlog", "--no-defaults", "--read-from-remote-server", "-h", "127.0.0.1", "-P", str(source.port),
                           "-u", USER, f"-p{PASSWORD}", "--raw", "--to-last-log", f"--result-file={self.servers.folder}/raw.",
                           f"--start-position={offset}", file])
        return f"{read} & {shlex.join(target.client(self.target, '-o', '/dev/null', '-f', script))}\nwait $!"


class PgLoader:
    """pgloader with the settings under which it does not exhaust its heap."""

    name = "pgloader"

    def __init__(self, servers, source, target):
        self.servers, self.source, self.target = servers, source, target

    def command(self):
        path = os.path.join(self.servers.folder, "pgloader.load")
        with open(path, "w") as out:
            out.write(textwrap.dedent(f"""\
                LOAD DATABASE FROM {self.servers.source.url(self.source)} INTO {self.servers.target.url(self.target)}
                WITH include drop, create tables, create indexes, reset sequences,
                     workers = 2, concurrency = 1, batch rows = 5000, batch size = 5MB, prefetch rows = 5000;
                """))
        return ["pgloader", "--no-ssl-cert-verification", path]


class Chameleon:
    """pg_chameleon with its example's settings, but that it reads and replays larger batches."""

    name = "pg_chameleon"

    def __init__(self, servers, program, source, target):
        self.servers, self.program, self.source, self.target = servers, program, source, target
        home = os.path.join(servers.folder, "home")
        self.environment = {"HOME": home}
        shutil.rmtree(home, ignore_errors=True)
        os.makedirs(home)
        self.prefix = []
        if os.geteuid() == 0:  # it does not run as root; but Python may lie where only root can read it
            nobody = pwd.getpwnam("nobody")
            os.chown(home, nobody.pw_uid, nobody.pw_gid)
            self.prefix = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
                           "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]

    def run(self, *arguments):
        return [*self.prefix, self.program, *arguments, "--config", "bench"]

    def prepare(self):
        """Registers the source; the first copy is `run("init_replica", …)`."""
        env = {**os.environ, **self.environment}
        subprocess.run([*self.prefix, self.program, "set_configuration_files"], check=True, env=env, stdout=subprocess.DEVNULL)
        home = self.environment["HOME"] + "/.pg_chameleon"
        with open(f"{home}/configuration/bench.yml", "w") as out:
            json.dump({  # JSON is YAML
                "pid_dir": f"{home}/pid/", "log_dir": f"{home}/logs/", "log_dest": "file", "log_level": "info",
                "log_days_keep": 1, "rollbar_key": "", "rollbar_env": "", "type_override": {},
                "pg_conn": {"host": "127.0.0.1", "port": str(self.servers.target.port), "user": USER, "password": PASSWORD,
                            "database": self.target, "charset": "utf8"},
                "sources": {"mysql": {
                    "db_conn": {"host": "127.0.0.1", "port": str(self.servers.source.port), "user": USER, "password": PASSWORD,
                                "charset": "utf8", "connect_timeout": 10},
                    "schema_mappings": {self.source: "replica"}, "limit_tables": [], "skip_tables": [], "grant_select_to": [],
                    "lock_timeout": "120s", "my_server_id": 100, "replica_batch_size": 10000, "replay_max_rows": 10000,
                    "batch_retention": "1 day", "copy_max_memory": "300M", "copy_mode": "file", "out_dir": "/tmp", "sleep_loop": 1,
                    "on_error_replay": "continue", "on_error_read": "continue", "auto_maintenance": "disabled", "gtid_enable": False,
                    "type": "mysql", "keep_existing_schema": False, "net_read_timeout": 600,
                }},
            }, out)
        for step in (["create_replica_schema"], ["add_source", "--source", "mysql"]):
            subprocess.run(self.run(*step), check=True, env=env, stdout=subprocess.DEVNULL)

    def first_copy(self):
        return self.run("init_replica", "--source", "mysql", "--debug")

    def allow(self):
        """Forgets that it was ended by a signal, after which it does not start again."""
        subprocess.run(self.run("enable_replica", "--source", "mysql"), check=True, env={**os.environ, **self.environment},
                       stdout=subprocess.DEVNULL)

    def follow(self):
        return self.run("start_replica", "--source", "mysql", "--debug")

"""A backlog of changes as psql would apply it: staged COPY and set-based statements, in so many transactions.

Enters: the source's changes as lines of JSON, in order. Leaves: one SQL file with its data in line. Changes of one key in
one transaction are merged beforehand, so that psql is given the least work.
"""

import json
import subprocess


def text(value):
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def write(tail, environment, batch_changes, path):
    """Writes the script; returns the number of changes and of transactions. A batch ends at the first commit at or beyond
    `batch_changes`."""
    process = subprocess.Popen(tail, env=environment, stdout=subprocess.PIPE)
    changes = batches = waiting = 0
    staged, merged = set(), {}
    with open(path, "w") as out:
        def flush():
            nonlocal batches, waiting, merged
            if not merged:
                return
            out.write("BEGIN;\n")
            for table, rows in sorted(merged.items()):
                columns = None
                gone = [key for key, (existed, _) in rows.items() if existed]
                there = [row for _, row in rows.values() if row is not None]
                for row in there:
                    columns = list(row)
                if table not in staged:
                    staged.add(table)
                    out.write(f"CREATE TEMP TABLE gone_{table} (id bigint) ON COMMIT DELETE ROWS;\n"
                              f"CREATE TEMP TABLE rows_{table} (LIKE {table}) ON COMMIT DELETE ROWS;\n")
                if gone:
                    out.write(f"COPY gone_{table} FROM STDIN;\n" + "".join(f"{key}\n" for key in gone) + "\\.\n")
                if there:
                    names = ", ".join(columns)
                    out.write(f"COPY rows_{table} ({names}) FROM STDIN;\n")
                    out.writelines("\t".join(text(row[name]) for name in columns) + "\n" for row in there)
                    out.write("\\.\n")
                if gone:
                    out.write(f"DELETE FROM {table} USING gone_{table} g WHERE {table}.id = g.id;\n")
                if there:
                    out.write(f"INSERT INTO {table} SELECT * FROM rows_{table};\n")
            out.write("COMMIT;\n")
            batches += 1
            waiting, merged = 0, {}

        for line in process.stdout:
            change = json.loads(line)
            event = change["event"]
            if event == "commit":
                if waiting >= batch_changes:
                    flush()
            elif event in ("insert", "update", "delete"):
                table = change["table"].split(".")[-1]
                changes, waiting = changes + 1, waiting + 1
                rows = merged.setdefault(table, {})
                before, after = change.get("before"), change.get("after")
                if before is not None:
                    existed, _ = rows.get(before["id"], (True, None))
                    rows[before["id"]] = (existed, None)
                if after is not None:
                    existed, _ = rows.get(after["id"], (False, None))
                    rows[after["id"]] = (existed, after)
        flush()
    if process.wait():
        raise SystemExit("bench: error: cannot read the backlog")
    return changes, batches

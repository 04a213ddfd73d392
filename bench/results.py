# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of values, and what is made of them: tables, JSON, plots."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import machine

QUIET = 0.5  # CPUs that others may use while we measure
LOOK = 0.25  # seconds that a look at that takes

TIME, RATE = "ms", "MiB/s"  # less is better, more is better


def short(value):
    """A number with three digits at least, and no more behind the point than tell something."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


class Row:
    """One job, with the values that each kind took for it."""

    def __init__(self, group, name, unit):
        self.group, self.name, self.unit = group, name, unit
        self.values = {}
        self.waited, self.spoilt = 0, None

    def median(self, kind):
        return statistics.median(self.values[kind]) if self.values.get(kind) else None

    def ratio(self, kind):
        """Relative to the group's base; None where there is nothing to compare."""
        mine, base = self.median(kind), self.median(self.group.base)
        return mine / base if mine is not None and base else None

    def as_json(self):
        kinds = {} if self.spoilt else {
            kind: {"median": self.median(kind), "least": min(values), "most": max(values), "ratio": self.ratio(kind), "values": values}
            for kind, values in self.values.items()}
        return {"group": self.group.name, "row": self.name, "unit": self.unit, "base": self.group.base, "not measured": self.spoilt,
                "kinds": kinds}


class Results:
    """All rows. Before each value that is taken the machine must be quiet.

    For each row we wait at most `patience` seconds in all for that; if it takes longer, the row is not measured, and its
    values are not told. With patience None nothing is measured at all, and nothing waited for.
    """

    def __init__(self, about, patience):
        self.about, self.patience = about, patience
        self.rows, self.failures = {}, []

    def row(self, group, name, unit=TIME):
        return self.rows.setdefault((group.name, name), Row(group, name, unit))

    def await_quiet(self, row):
        if self.patience is None or row.spoilt:
            return
        while (load := machine.cpus_in_use(LOOK)) > QUIET:
            row.waited += LOOK
            if row.waited >= self.patience:
                row.spoilt = f"after {row.waited:.0f} s of waiting others still used {load:.1f} CPUs"
                print(f"not measured: {row.name}: {row.spoilt}", file=sys.stderr)
                return

    def all_spoilt(self, group):
        """Whether none of a group's rows will be measured."""
        rows = [row for row in self.rows.values() if row.group is group]
        return bool(rows) and all(row.spoilt for row in rows)

    def add(self, group, kind, name, unit, value):
        """A value that was counted, or measured elsewhere."""
        self.row(group, name, unit).values.setdefault(kind.name, []).append(value)

    def timed(self, group, kind, name, job, per=0.001, unit=TIME):
        """How long a job takes, in `per` seconds; what it returns is returned."""
        self.await_quiet(self.row(group, name, unit))
        begun = time.perf_counter()
        result = job()
        self.add(group, kind, name, unit, (time.perf_counter() - begun) / per)
        return result

    def fail(self, group, kind, why):
        self.failures.append(f"{group.name}: {kind.name}: {why}")
        print(f"failed: {self.failures[-1]}", file=sys.stderr)

    # ---- what is made of them ----

    def save(self, path):
        """As JSON, over what is there in one step, as there may be hours in it."""
        with open(f"{path}.new", "w") as file:
            json.dump({"about": self.about, "measured": self.patience is not None, "failures": self.failures,
                       "rows": [row.as_json() for row in self.rows.values()]}, file, indent=1)
        os.replace(f"{path}.new", path)

    def of(self, group):
        rows = [row for row in self.rows.values() if row.group is group]
        kinds = list(dict.fromkeys(kind.name for kind in group.kinds() if any(kind.name in row.values for row in rows)))
        return rows, kinds

    def print(self, group):
        """A table: the median, the least and the most, and the ratio to the base."""
        rows, kinds = self.of(group)
        print(f"\n{group.name}: {group.about}" + (f"; ratios to {group.base}" if group.base in kinds else ""))
        print(f"{'':44}" + "".join(f"{kind:>32}" for kind in kinds))
        for row in rows:
            line = f"{f'{row.name}, {row.unit}':44}"
            if row.spoilt:
                print(f"{line}  not measured: {row.spoilt}")
                continue
            for kind in kinds:
                values, ratio = row.values.get(kind), row.ratio(kind)
                cell = f"{short(row.median(kind))} ({short(min(values))}-{short(max(values))})" if values else "-"
                line += f"{cell:>25}" + (f"{ratio:7.2f}" if ratio is not None else f"{'':7}")
            print(line)

    def plot(self, group, prefix):
        """The ratios of a group, as prefix-GROUP.svg, if it has any."""
        rows, kinds = self.of(group)
        kinds = [kind for kind in kinds if kind != group.base]
        rows = [row for row in rows if not row.spoilt and row.median(group.base)]
        if not rows or not kinds:
            return
        if not shutil.which("gnuplot"):
            print(f"no plot of {group.name}: gnuplot is not installed", file=sys.stderr)
            return
        data = "\n".join(f'"{row.name}" ' + " ".join("?" if row.ratio(kind) is None else f"{row.ratio(kind):.4f}" for kind in kinds)
                         for row in rows)
        bars = ", ".join(f"$data using {i + 2}" + (":xtic(1)" if i == 0 else "") + f" title '{kind}'" for i, kind in enumerate(kinds))
        script = f"""set terminal svg size {max(600, 250 + 40 * len(rows) + 8 * len(rows) * len(kinds))},700 font 'sans,11' noenhanced
set output '{prefix}-{group.name}.svg'
set style data histogram
set style histogram cluster gap 1
set style fill solid 0.8
set datafile missing '?'
set logscale y 2
set grid y
set key outside top center horizontal
set xtics rotate by -40
set ylabel 'relative to {group.base}'
$data << END
{data}
END
plot 1 notitle lc 'black', {bars}
"""
        subprocess.run(["gnuplot"], input=script, text=True, check=True)

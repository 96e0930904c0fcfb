# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmark shows: progress, a table, JSON and a picture."""

import json
import os
import platform
import statistics
import time


class Progress:
    """One line that is written over on a terminal, else a line now and
    then."""

    def __init__(self, out):
        self.out = out
        self.began = self.shown = time.monotonic()
        self.open = False

    def line(self, text):
        self.done()
        print(text, file=self.out, flush=True)
        self.shown = time.monotonic()

    def step(self, text):
        now = time.monotonic()
        minutes, seconds = divmod(int(now - self.began), 60)
        text = f'[{minutes}:{seconds:02d}] {text}'
        if self.out.isatty():
            print(f'\r{text[:78]:<78}', end='', file=self.out, flush=True)
            self.open = True
        elif now - self.shown >= 10:
            self.line(text)

    def done(self):
        if self.open:
            print(file=self.out, flush=True)
            self.open = False


def middle(runs):
    return statistics.median(runs)


def number(value):
    """Three digits that count, without an exponent."""
    for digits in range(5):
        if value == 0 or abs(value) >= 100 / 10 ** digits:
            return f'{value:.{digits}f}'
    return f'{value:.5f}'


def spread(runs):
    if len(runs) == 1:
        return number(runs[0])
    return f'{number(middle(runs))} ({number(min(runs))}-{number(max(runs))})'


class Table:
    def __init__(self, runs, quick):
        self.rows = []
        self.remarks = []
        self.where = {
            'when': time.strftime('%Y-%m-%d %H:%M'),
            'kernel': platform.release(),
            'processors': os.cpu_count(),
            'processor': self.processor(),
            'load before': round(os.getloadavg()[0], 2),
            'runs': runs,
            'quick': quick,
        }

    @staticmethod
    def processor():
        with open('/proc/cpuinfo', encoding='utf-8') as lines:
            for line in lines:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
        return platform.machine()

    def remark(self, text):
        self.remarks.append(text)

    def ratio(self, where, work, unit, plain, zoned, budget,
              names=('plain', 'zoned'), more=False, cpu=None):
        """A row of two sides.  "more": a higher figure is better, and the
        budget is the least ratio.  "cpu": what processor time each took,
        which tells something on a busy machine, too."""
        ratio = middle(zoned) / middle(plain) if middle(plain) else 0.0
        met = None
        if budget is not None:
            met = ratio >= budget if more else ratio <= budget
        self.rows.append({
            'where': where, 'work': work, 'unit': unit, 'names': names,
            'plain': plain, 'zoned': zoned, 'ratio': ratio,
            'budget': budget, 'more': more, 'met': met,
            'cpu': middle(cpu[1]) / middle(cpu[0])
            if cpu and middle(cpu[0]) else None})

    def value(self, where, work, unit, zoned, budget=None, plain=None):
        """A row of a figure that has to be at most "budget"."""
        self.rows.append({
            'where': where, 'work': work, 'unit': unit,
            'names': ('plain', 'zoned'), 'plain': plain, 'zoned': zoned,
            'ratio': None, 'budget': budget, 'more': False, 'cpu': None,
            'met': None if budget is None else middle(zoned) <= budget})

    @staticmethod
    def cells(row):
        budget = row['budget']
        if budget is None:
            limit = ''
        elif row['ratio'] is not None:
            limit = f'{">" if row["more"] else "<"}= {budget:.2f}'
        else:
            limit = f'<= {number(budget)} {row["unit"]}'
        work = row['work']
        if tuple(row['names']) != ('plain', 'zoned'):
            work += f' ({row["names"][1]} / {row["names"][0]})'
        if not work.endswith(row['unit']):
            work += f', {row["unit"]}'
        return [row['where'], work,
                spread(row['plain']) if row['plain'] else '',
                spread(row['zoned']),
                '' if row['ratio'] is None else f'{row["ratio"]:.2f}',
                '' if row['cpu'] is None else f'{row["cpu"]:.2f}',
                limit, {None: '', True: 'met', False: 'MISSED'}[row['met']]]

    def text(self):
        head = ['where', 'work', 'plain', 'zoned', 'ratio', 'CPU', 'budget',
                '']
        lines = [head] + [self.cells(row) for row in self.rows]
        wide = [max(len(line[i]) for line in lines) for i in range(len(head))]
        lines.insert(1, ['-' * n for n in wide])
        text = [
            f'{self.where["when"]}, Linux {self.where["kernel"]}, '
            f'{self.where["processors"]} x {self.where["processor"]}, load '
            f'{self.where["load before"]} before; {self.where["runs"]} runs '
            f'in turns{", quick" if self.where["quick"] else ""}: median '
            '(least-most)', '']
        text += ['  '.join(cell.ljust(n) for cell, n in
                           zip(line, wide)).rstrip() for line in lines]
        told = [row['met'] for row in self.rows if row['met'] is not None]
        text += ['', f'{told.count(True)} of {len(told)} budgets met']
        text += self.remarks
        return '\n'.join(text)

    def json(self):
        return json.dumps({**self.where, 'rows': self.rows,
                           'remarks': self.remarks}, indent=1)

    def write(self, folder):
        for name, text in (('table.txt', self.text()),
                           ('bench.json', self.json())):
            with open(os.path.join(folder, name), 'w',
                      encoding='utf-8') as file:
                file.write(text + '\n')

    def picture(self, folder):
        """Bars of the ratios against their budgets: what came of it."""
        try:
            import matplotlib
        except ImportError:
            return 'no bench.svg without python3-matplotlib'
        matplotlib.use('svg')
        from matplotlib import pyplot
        rows = [row for row in self.rows
                if row['ratio'] is not None and row['budget'] is not None]
        if not rows:
            return 'no bench.svg, since no row is a ratio'
        rows.reverse()
        figure, axes = pyplot.subplots(figsize=(11, 1.6 + 0.25 * len(rows)))
        colors = ['tab:blue' if row['met'] else 'tab:red' for row in rows]
        axes.barh(range(len(rows)), [row['ratio'] for row in rows],
                  color=colors, height=0.6)
        for at, row in enumerate(rows):
            axes.plot([row['budget']] * 2, [at - 0.45, at + 0.45],
                      color='black', linewidth=2)
            axes.text(min(max(row['ratio'], row['budget']) + 0.02, 3.8), at,
                      f'{row["ratio"]:.2f}', va='center', fontsize=7)
        axes.set_yticks(range(len(rows)))
        axes.set_yticklabels([f'{row["where"]}: {row["work"]}'
                              for row in rows], fontsize=7)
        axes.axvline(1, color='grey', linewidth=0.5)
        axes.set_xlim(0, max(2.2, *(min(row['ratio'], 4) for row in rows)))
        axes.set_xlabel('ratio of the medians, zoned to plain; black: the '
                        'budget; red: missed')
        figure.subplots_adjust(left=0.45, right=0.98, top=1 - 0.3 / (
            1.6 + 0.25 * len(rows)), bottom=0.8 / (1.6 + 0.25 * len(rows)))
        figure.savefig(os.path.join(folder, 'bench.svg'))
        return 'bench.svg'

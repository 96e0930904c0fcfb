# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/zonemap talks to: a qemu-img, a QEMU and a terminal."""

import json
import os
import socket
import subprocess
import sys
import threading

import terminals
from places import SCRIPTS
from terminals import HANGS

PROGRAM = os.path.join(SCRIPTS, 'zonemap')

QEMU_IMG = '''#!{python}
import json, os, signal, sys
case = json.load(open({case!r}))
with open({log!r}, 'a') as log:
    log.write(json.dumps(sys.argv[1:]) + '\\n')
what = case.get(sys.argv[1], {{}})
sys.stdout.write(what.get('out', ''))
sys.stderr.write(what.get('err', ''))
sys.stdout.flush()
if what.get('signal'):
    os.kill(os.getpid(), what['signal'])
sys.exit(what.get('status', 0))
'''


class QemuImg:
    """A program in "folder" that answers "zone" and "info" as told."""

    def __init__(self, folder, name='qemu-img'):
        self.path = os.path.join(folder, name)
        self.case = os.path.join(folder, name + '.case')
        self.log = os.path.join(folder, name + '.log')
        with open(self.path, 'w', encoding='utf-8') as file:
            file.write(QEMU_IMG.format(python=sys.executable, case=self.case,
                                       log=self.log))
        os.chmod(self.path, 0o755)
        self.answer()

    def answer(self, zones=None, limits=None, **more):
        """zones: a list, or {out=, err=, status=, signal=}."""
        info = {'status': 1, 'err': 'no info'}
        if limits:
            info = {'out': json.dumps({'format-specific': {'data': {
                'zone': {'max-open-zones': limits[0],
                         'max-active-zones': limits[1]}}}})}
        zone = more or {'out': json.dumps(zones or [])}
        with open(self.case, 'w', encoding='utf-8') as file:
            json.dump({'zone': zone, 'info': info}, file)
        if os.path.exists(self.log):
            os.unlink(self.log)

    def calls(self):
        with open(self.log, encoding='utf-8') as file:
            return [json.loads(line) for line in file]


class Qemu:
    """A QMP server for one client at a time, in a thread.

    nodes: {name: (driver, zones or None)}; limit: entries of a page; listed:
    what is said instead of a list of the nodes.
    """

    def __init__(self, path, nodes, limit=1024, daemon=False, known=True,
                 greeting=b'{"QMP": {}}\r\n', extra=None, listed=None):
        self.path = path
        self.nodes = nodes
        self.limit = limit
        self.daemon = daemon
        self.known = known
        self.greeting = greeting
        self.extra = extra or {}
        self.listed = listed
        self.commands = []
        # Called before the N-th report is answered; may return what to send.
        self.before_report = None
        self.reports = 0
        self.client = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(4)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self):
        self.hang_up()
        self.listener.close()
        os.unlink(self.path)

    def hang_up(self):
        if self.client:
            try:
                self.client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def event(self, name):
        self.client.sendall(json.dumps({'event': name}).encode() + b'\r\n')

    def _serve(self):
        while True:
            try:
                self.client = self.listener.accept()[0]
            except OSError:
                return
            try:
                self._talk()
            except OSError:
                pass
            finally:
                self.client.close()

    def _talk(self):
        if self.greeting is None:
            self.client.recv(1)
            return
        self.client.sendall(self.greeting)
        with self.client.makefile('rb') as lines:
            for line in lines:
                request = json.loads(line)
                answer = self._answer(request['execute'],
                                      request.get('arguments', {}))
                if answer is None:
                    self.client.shutdown(socket.SHUT_RDWR)
                    return
                if not isinstance(answer, bytes):
                    answer = json.dumps(answer).encode() + b'\r\n'
                self.client.sendall(answer)

    def _answer(self, command, arguments):
        self.commands.append((command, arguments))
        if command == 'query-named-block-nodes':
            return self.listed or {'return': [
                {'node-name': name, 'drv': driver}
                for name, (driver, _) in self.nodes.items()]}
        if command == 'query-block-zones':
            return self._zones(arguments)
        if command == 'query-status' and self.daemon:
            return error('CommandNotFound', 'The command query-status has '
                         'not been found')
        return {'return': {}}

    def _zones(self, arguments):
        if not self.known:
            return error('CommandNotFound', 'The command query-block-zones '
                         'has not been found')
        name = arguments['node-name']
        zones = self.nodes.get(name, (None, None))[1]
        if zones is None:
            return error('GenericError', f"Node '{name}' has no zones")
        if 'fold' in arguments:
            self.reports += 1
            if self.before_report:
                said = self.before_report(self.reports)
                if said is not None:
                    return said or None
        offset = arguments.get('offset', 0)
        at = [zone['start'] for zone in zones].index(offset)
        page = zones[at:at + arguments.get('limit', self.limit)]
        res = {'zones': page, 'zone-size': zones[0]['length'],
               'nr-zones': sum(zone.get('count', 1) for zone in zones),
               'open': 3, 'active': 5}
        if at + len(page) < len(zones):
            res['next'] = zones[at + len(page)]['start']
        res.update(self.extra)
        return {'return': res}


def error(kind, text):
    return {'error': {'class': kind, 'desc': text}}


def run(*arguments, **environment):
    """The program, its output into pipes."""
    return subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=HANGS, check=False,
                          env=dict(os.environ, **environment))


class Terminal(terminals.Terminal):
    """The program in a terminal."""

    def __init__(self, *arguments, **how):
        super().__init__(PROGRAM, *arguments, **how)

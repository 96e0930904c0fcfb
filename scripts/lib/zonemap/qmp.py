# SPDX-License-Identifier: GPL-2.0-or-later
"""Zones of a block node, asked of a running QEMU or storage daemon."""

import json
import select
import socket
import time

from .model import Disk, Failure, Zones, as_size

# Seconds to wait for an answer.  QEMU answers at once, whatever the guest
# does; where another client has the socket it never does.
PATIENCE = 10
# … and to see whether it ends
ENDING = .5


class Refused(Failure):
    """QMP answered a command with an error."""

    def __init__(self, error):
        super().__init__(str(error.get('desc')))
        self.kind = error.get('class')


class Gone(Failure):
    """The other side has closed the connection.

    expected: it had said so, or never does.
    """

    def __init__(self, text, expected):
        super().__init__(text)
        self.expected = expected


class Connection:
    """One QMP connection: commands, and whether the guest has shut down."""

    def __init__(self, path):
        self.path = path
        self.buffer = b''
        self.shut_down = False
        self.daemon = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(path)
        except TimeoutError:
            raise Failure(self._busy()) from None
        except OSError as e:
            raise Failure(f'cannot connect to {path}: '
                          f'{e.strerror or e}') from None
        try:
            greeting = self._message()
        except TimeoutError:
            raise Failure(self._busy()) from None
        if 'QMP' not in greeting:
            raise Failure(f'{path}: this is no QMP socket')
        self.execute('qmp_capabilities')

    def _busy(self):
        return (f'{self.path} does not answer: another client has it (a QMP '
                'socket takes one; give QEMU a second -qmp)')

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    def _receive(self):
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            raise
        except OSError:
            data = b''
        if not data:
            while self._take() is not None:
                pass
            if self.shut_down:
                raise Gone('the guest has shut down', True)
            raise Gone(f'{self.path}: QEMU has closed the connection' if
                       not self.daemon else
                       f'{self.path}: the storage daemon has ended',
                       self.daemon)
        self.buffer += data

    def _take(self):
        """A message that is here already, or None."""
        line, newline, rest = self.buffer.partition(b'\n')
        if not newline:
            return None
        self.buffer = rest
        try:
            message = json.loads(line)
            if (type(message) is not dict or
                    type(message.get('error', {})) is not dict):
                raise ValueError
        except (ValueError, RecursionError):
            raise Failure(f'{self.path}: what came is not QMP') from None
        if message.get('event') == 'SHUTDOWN':
            self.shut_down = True
        return message

    def _message(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self._take()
            if message is not None:
                return message
            if time.monotonic() > deadline:
                raise TimeoutError
            self._receive()

    def execute(self, command, **arguments):
        """Its "return"; raises Refused, Gone or Failure."""
        request = {'execute': command}
        if arguments:
            request['arguments'] = {key.replace('_', '-'): value
                                    for key, value in arguments.items()}
        try:
            try:
                self.socket.sendall(json.dumps(request).encode() + b'\n')
            except TimeoutError:
                raise
            except OSError:
                # What it said last tells why.
                while True:
                    self._message()
            while True:
                message = self._message()
                if 'return' in message:
                    return message['return']
                if 'error' in message:
                    raise Refused(message['error'])
        except TimeoutError:
            raise Failure(f'{self.path}: no answer to {command} within '
                          f'{PATIENCE} s') from None

    def events(self, seconds=0):
        """Take in what comes without being asked for.  Raises Gone."""
        deadline = time.monotonic() + seconds
        while select.select([self], [], [],
                            max(deadline - time.monotonic(), 0))[0]:
            self._receive()
            while self._take() is not None:
                pass
        if self.shut_down:
            raise Gone('the guest has shut down', True)


class Node:
    """A zoned block node; report() asks anew each time."""

    def __init__(self, path, node=None):
        self.connection = Connection(path)
        try:
            # A storage daemon has no guest, and does not tell of its end.
            self.connection.execute('query-status')
        except Refused as e:
            self.connection.daemon = e.kind == 'CommandNotFound'
        self.node = self._only_zoned_node() if node is None else node

    def _query(self, node, **arguments):
        try:
            return self.connection.execute('query-block-zones',
                                           node_name=node, **arguments)
        except Refused as e:
            if e.kind == 'CommandNotFound':
                raise Failure(f'{self.connection.path}: this QEMU has no '
                              'query-block-zones') from None
            raise

    def _only_zoned_node(self):
        path = self.connection.path
        try:
            nodes = {node['node-name']: node.get('drv') for node in
                     self.connection.execute('query-named-block-nodes',
                                             flat=True)}
        except (AttributeError, KeyError, TypeError):
            raise Failure(f'{path}: what came is no list of block '
                          'nodes') from None
        zoned = {}
        for name, driver in nodes.items():
            try:
                self._query(name, limit=1)
            except Refused:
                continue
            zoned[name] = driver
        # A filter shows the zones of the image below it.
        zoned = [name for name in zoned if zoned[name] == 'qcow2'] or \
            list(zoned)
        if not zoned:
            raise Failure(f'{path}: no block node has zones')
        if len(zoned) > 1:
            raise Failure(f'{path}: more than one block node has zones, '
                          f'choose with --node: {", ".join(zoned)}')
        return zoned[0]

    def report(self):
        zones = Zones()
        offset = 0
        try:
            while True:
                page = self._query(self.node, offset=offset, fold=True)
                zones.add(page['zones'])
                if 'next' not in page:
                    break
                offset = as_size(page, 'next', offset + 1)
            return Disk(self.node, zones,
                        as_size(page, 'max-open-zones')
                        if 'max-open-zones' in page else 0,
                        as_size(page, 'max-active-zones')
                        if 'max-active-zones' in page else 0,
                        as_size(page, 'open'), as_size(page, 'active'))
        except Gone:
            raise
        except Refused as e:
            # One that is ending gives up its nodes before it hangs up.
            self.connection.events(ENDING)
            raise Failure(f'node {self.node}: {e}') from None
        except (Failure, KeyError, TypeError, ValueError) as e:
            text = str(e)
            if isinstance(e, KeyError):
                text = f'not a zone report: it has no {e}'
            elif isinstance(e, TypeError):
                text = 'not a zone report: it is no object'
            raise Failure(f'node {self.node}: {text}') from None

    def close(self):
        self.connection.close()

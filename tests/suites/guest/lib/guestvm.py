# SPDX-License-Identifier: GPL-2.0-or-later
#
# Boot the guest made by scripts/make-guest and run commands in it.
#
# Commands and results go over a virtio-serial port (see image/agent beside
# this folder for the protocol), the console goes to a file, QMP
# has a channel of its own.  The channels are socket pairs handed to QEMU, so
# there is no path to clash and nothing stays behind.  QEMU dies with its
# parent.  This file knows nothing about zones.

import base64
import collections
import contextlib
import ctypes
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time

Result = collections.namedtuple('Result', 'rc out err')

# Nothing here passes or fails on time; these only end what hangs.
BOOT_TIMEOUT = 1800
RUN_TIMEOUT = 1800

PR_SET_PDEATHSIG = 1


class GuestError(Exception):
    """The guest did not do what was asked of it."""


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class _Channel:
    """One JSON object a line over our half of a socket pair.  All that
    arrives is passed to sink(obj), and sink(None) at the end."""

    def __init__(self, sink):
        self.sock, self.theirs = socket.socketpair()
        self.sink = sink
        self.lock = threading.Lock()

    def start(self):
        self.theirs.close()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        buf = b''
        with contextlib.suppress(OSError):
            while True:
                data = self.sock.recv(1 << 16)
                if not data:
                    break
                buf += data
                while b'\n' in buf:
                    line, buf = buf.split(b'\n', 1)
                    if line.strip():
                        self.sink(json.loads(line))
        self.sink(None)

    def send(self, obj, fds=()):
        data = (json.dumps(obj) + '\n').encode()
        with self.lock:
            if fds:
                data = data[socket.send_fds(self.sock, [data], fds):]
            self.sock.sendall(data)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Job:
    """A command that runs in the guest."""

    def __init__(self, guest, ident, what, on_line):
        self.guest, self.ident, self.what = guest, ident, what
        self.on_line = on_line
        self.queue = queue.Queue()

    def wait(self, timeout=RUN_TIMEOUT):
        """Its answer, or GuestError where QEMU ended or nothing came."""
        end = time.monotonic() + timeout
        while True:
            try:
                msg = self.queue.get(
                    timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise GuestError('no answer in %d s from the guest to: %s\n%s'
                                 % (timeout, self.what,
                                    self.guest.console_tail())) from None
            if msg is None:
                raise GuestError('QEMU ended (status %s) during: %s\n%s' %
                                 (self.guest.wait_exit(30), self.what,
                                  self.guest.console_tail()))
            if 'line' in msg:
                if self.on_line:
                    self.on_line(msg['line'])
                continue
            return msg


class Guest:
    """One QEMU with our guest in it.

    qemu: path of qemu-system-x86_64; folder: what make-guest made;
    args: further QEMU arguments (the disks to be tested)."""

    def __init__(self, qemu, folder, log_folder, args=(), accel='tcg',
                 smp=2, memory=768, name='guest', env=None):
        self.qemu, self.folder = qemu, folder
        self.args = list(args)
        self.accel, self.smp, self.memory = accel, smp, memory
        self.env, self.name = env, name
        self.console = os.path.join(log_folder, name + '.console')
        self.stderr = os.path.join(log_folder, name + '.stderr')
        self.proc = None
        self.kernel = None
        self._jobs, self._next, self._gone = {}, 0, False
        self._lock = threading.Lock()
        self._hello = queue.Queue()
        self._replies = queue.Queue()
        self._events, self._changed = [], threading.Condition()

    # -- life --

    def command_line(self, agent_fd, qmp_fd):
        # With a thread for each CPU, QEMU 10.0 fails an assertion now and then
        # (iotlb_to_section) where a CPU runs while another maps a PCI device.
        accel = 'tcg,thread=single' if self.accel == 'tcg' else self.accel
        argv = [self.qemu, '-nodefaults', '-no-user-config',
                '-display', 'none', '-machine', 'pc', '-accel', accel]
        if self.accel == 'tcg':
            # Plain TCG "max" makes the kernel test every vector unit it has.
            argv += ['-cpu', 'qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt']
        for folder in os.environ.get('ZQ_FIRMWARE', '').split(':'):
            if folder:
                argv += ['-L', folder]
        argv += ['-smp', str(self.smp), '-m', str(self.memory), '-no-reboot',
                 '-kernel', os.path.join(self.folder, 'kernel'),
                 '-initrd', os.path.join(self.folder, 'initrd'),
                 '-append', 'console=ttyS0 panic=-1 loglevel=4 '
                 'mitigations=off random.trust_cpu=on',
                 '-chardev', 'file,id=console,path=' + self.console,
                 '-serial', 'chardev:console',
                 '-chardev', 'socket,id=agent,fd=%d' % agent_fd,
                 '-device', 'virtio-serial-pci',
                 '-device', 'virtserialport,chardev=agent,name=zq.agent',
                 '-chardev', 'socket,id=qmp,fd=%d' % qmp_fd,
                 '-mon', 'chardev=qmp,mode=control',
                 '-drive', 'if=none,id=zqroot,format=raw,read-only=on,file=' +
                 os.path.join(self.folder, 'root.img'),
                 '-device', 'virtio-blk-pci,drive=zqroot,serial=zqroot']
        return argv + self.args

    def start(self, incoming=None):
        """Start QEMU; the guest is not yet there.  With incoming (a file
        descriptor) it is to come from there."""
        agent, qmp = _Channel(self._agent_in), _Channel(self._qmp_in)
        fds = [agent.theirs.fileno(), qmp.theirs.fileno()]
        argv = self.command_line(*fds)
        if incoming is not None:
            argv += ['-incoming', 'fd:%d' % incoming]
            fds.append(incoming)
        with open(self.stderr, 'wb') as err:
            self.proc = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL,
                stdout=err, stderr=err, pass_fds=fds, env=self.env,
                preexec_fn=_die_with_parent)
        self.started = time.monotonic()
        self.agent, self.monitor = agent, qmp
        agent.start()
        qmp.start()
        return self

    def boot(self, timeout=BOOT_TIMEOUT):
        """Start QEMU and wait until commands can be run."""
        if self.proc is None:
            self.start()
        if not self.booted(timeout):
            self._boot_failed('no sign of it in %d s' % timeout)
        return self

    def booted(self, timeout):
        """After start(): whether commands can be run, at most timeout s from
        now.  GuestError where QEMU has ended."""
        try:
            hello = self._hello.get(timeout=timeout)
        except queue.Empty:
            if time.monotonic() - self.started > BOOT_TIMEOUT:
                self._boot_failed('no sign of it in %d s' % BOOT_TIMEOUT)
            return False
        if hello is None:
            self._boot_failed('QEMU ended with status %s' %
                              self.wait_exit(30))
        self.kernel = hello['hello']
        self.qmp('qmp_capabilities')
        return True

    def _boot_failed(self, why):
        text = self.qemu_errors() + self.console_tail()
        self.kill()
        raise GuestError('the guest did not come up (%s)\n%s' % (why, text))

    def migrate(self, onto):
        """Move the guest to another QEMU, which has not been started, with
        all jobs under way; this one ends.  A guest that is stopped stays
        stopped."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                onto.start(incoming=theirs.fileno())
            onto.qmp('qmp_capabilities')
            self.monitor.send({'execute': 'getfd',
                               'arguments': {'fdname': 'there'}},
                              [ours.fileno()])
            self._reply('getfd')
        self.qmp('migrate-set-capabilities', capabilities=[
            {'capability': 'events', 'state': True}])
        self.qmp('migrate', uri='fd:there')
        count, status = 0, ''
        while status not in ('completed', 'failed', 'cancelled'):
            count += 1
            status = self.wait_event('MIGRATION', count)['data']['status']
        if status != 'completed':
            raise GuestError('migration: %s\n%s%s' % (
                self.qmp('query-migrate'), self.qemu_errors(),
                onto.qemu_errors()))
        # Nothing comes from the guest before "cont" on the other side.
        with self._lock:
            onto.kernel, onto._next = self.kernel, self._next
            onto._jobs, self._jobs = self._jobs, {}
            for job in onto._jobs.values():
                job.guest = onto
        self.qmp('quit')
        code = self.wait_exit()
        self.close()
        if code != 0:
            raise GuestError('QEMU ended with status %s after a migration\n%s'
                             % (code, self.qemu_errors()))

    def poweroff(self, timeout=RUN_TIMEOUT):
        """Orderly shutdown: sync, power off, QEMU ends by itself."""
        job = self._request({'poweroff': True}, 'poweroff', None)
        job.wait(timeout)
        code = self.wait_exit(timeout)
        self.close()
        if code != 0:
            raise GuestError('QEMU ended with status %s after the guest\'s '
                             'poweroff\n%s' % (code, self.qemu_errors()))

    def kill(self):
        """kill -9 of QEMU."""
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        self.close()

    def close(self):
        for channel in (getattr(self, 'agent', None),
                        getattr(self, 'monitor', None)):
            if channel:
                channel.close()

    def wait_exit(self, timeout=RUN_TIMEOUT):
        try:
            return self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            return 'still running after %d s' % timeout

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()

    # -- commands --

    def _agent_in(self, msg):
        with self._lock:
            if msg is None:
                self._gone = True
                for job in self._jobs.values():
                    job.queue.put(None)
                self._hello.put(None)
            elif 'hello' in msg:
                self._hello.put(msg)
            elif msg.get('id') in self._jobs:
                self._jobs[msg['id']].queue.put(msg)
        with self._changed:
            self._changed.notify_all()

    def _request(self, req, what, on_line):
        with self._lock:
            self._next += 1
            job = Job(self, self._next, what, on_line)
            self._jobs[job.ident] = job
            if self._gone:
                job.queue.put(None)
        with contextlib.suppress(OSError):
            self.agent.send(dict(req, id=job.ident))
        return job

    def spawn(self, command, on_line=None):
        """Start a command and return at once."""
        return self._request({'run': command, 'stream': bool(on_line)},
                             command, on_line)

    def zqio(self, what, disk, offset, length, on_line=None, **more):
        """Direct I/O in the guest (image/zqio.py); a Job."""
        req = dict(more, what=what, disk=disk, offset=offset, length=length)
        return self._request({'zqio': req}, 'zqio %s' % req, on_line)

    def run(self, command, timeout=RUN_TIMEOUT, check=True, on_line=None):
        """Run a shell command; GuestError where it fails and check is set.
        With on_line each line of its output is passed on as it comes."""
        msg = self.spawn(command, on_line).wait(timeout)
        res = Result(msg['rc'], msg.get('out', ''), msg.get('err', ''))
        if check and res.rc != 0:
            raise GuestError('in the guest: %s\nexited with %s\n%s%s' %
                             (command, res.rc, res.out[-2000:],
                              res.err[-2000:]))
        return res

    def put(self, path, data, mode=0o644):
        msg = self._request({'put': path, 'mode': mode, 'data':
                             base64.b64encode(data).decode()},
                            'put ' + path, None).wait()
        if msg['rc'] != 0:
            raise GuestError('cannot write %s in the guest: %s' %
                             (path, msg.get('err')))

    def get(self, path):
        msg = self._request({'get': path}, 'get ' + path, None).wait()
        if msg['rc'] != 0:
            raise GuestError('cannot read %s in the guest: %s' %
                             (path, msg.get('err')))
        return base64.b64decode(msg['data'])

    def disk(self, serial):
        """Name (/dev/...) of the disk with this serial number."""
        out = self.run(
            'for n in $(seq 100); do for d in /sys/block/*; do '
            's=$(cat $d/serial 2>/dev/null || cat $d/device/serial '
            '2>/dev/null); [ "${s%%%% *}" = "%s" ] && '
            '{ echo /dev/${d##*/}; exit; }; done; sleep 0.1; done; exit 1'
            % serial)
        return out.out.strip()

    # -- QMP --

    def _qmp_in(self, msg):
        if msg is None:
            self._replies.put(None)
        elif 'event' in msg:
            with self._changed:
                self._events.append(msg)
                self._changed.notify_all()
        elif 'return' in msg or 'error' in msg:
            self._replies.put(msg)

    def qmp(self, command, check=True, timeout=RUN_TIMEOUT, **arguments):
        """One QMP command; underscores in argument names become dashes."""
        args = {k.replace('_', '-'): v for k, v in arguments.items()}
        self.monitor.send({'execute': command, 'arguments': args})
        return self._reply(command, check, timeout)

    def _reply(self, command, check=True, timeout=RUN_TIMEOUT):
        try:
            msg = self._replies.get(timeout=timeout)
        except queue.Empty:
            raise GuestError('no QMP answer to ' + command) from None
        if msg is None:
            raise GuestError('QEMU ended during QMP ' + command)
        if check and 'error' in msg:
            raise GuestError('QMP %s: %s' % (command, msg['error']['desc']))
        return msg.get('return') if check else msg

    def events(self, name):
        with self._changed:
            return [e for e in self._events if e['event'] == name]

    def wait_event(self, name, count=1, timeout=RUN_TIMEOUT, job=None):
        """Wait until the event has come count times; returns the last.  With
        a job (of which no line is asked for) it must come before its end."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [e for e in self._events if e['event'] == name]
                if len(found) >= count:
                    return found[count - 1]
                if job and not job.queue.empty():
                    raise GuestError('no event %s from QEMU before the end of '
                                     '%s: %s' % (name, job.what,
                                                 job.wait()))
                if self._gone or not self._changed.wait(
                        max(0.01, end - time.monotonic())):
                    raise GuestError('no event %s from QEMU\n%s' %
                                     (name, self.qemu_errors()))

    # -- what went wrong --

    def console_tail(self, lines=15):
        return _tail('console', self.console, lines)

    def qemu_errors(self, lines=15):
        return _tail('QEMU', self.stderr, lines)


def _tail(title, path, lines):
    try:
        with open(path, errors='replace') as f:
            text = f.read().splitlines()[-lines:]
    except OSError:
        text = []
    return ''.join('  %s: %s\n' % (title, t) for t in text)


def choose_accel(qemu, folder, log_folder):
    """'kvm' where it boots our kernel, otherwise 'tcg'.  /dev/kvm may be
    there and still not run a current kernel, so it is tried once for each
    guest, QEMU and start of the host, and the answer is kept."""
    if os.environ.get('ZQ_ACCEL'):
        return os.environ['ZQ_ACCEL']
    try:
        os.close(os.open('/dev/kvm', os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return 'tcg'
    with open('/proc/sys/kernel/random/boot_id') as f:
        key = f.read().strip()
    with open(os.path.join(folder, 'stamp')) as f:
        key += ' ' + f.read().strip()
    memo = os.path.join(folder, 'accel')
    with contextlib.suppress(OSError, ValueError):
        with open(memo) as f:
            kept, answer = f.read().rsplit(None, 1)
            if kept == key:
                return answer
    answer, start = 'tcg', time.monotonic()
    with Guest(qemu, folder, log_folder, accel='kvm', name='kvm-probe') as g:
        with contextlib.suppress(GuestError):
            g.boot(timeout=30)
            if g.run('echo works', timeout=30).out.strip() == 'works':
                answer = 'kvm'
    if answer == 'tcg' and time.monotonic() - start < 5:
        return answer           # QEMU refused at once: cheap to ask again
    with open(memo + '.new', 'w') as f:
        f.write('%s %s\n' % (key, answer))
    os.rename(memo + '.new', memo)
    return answer

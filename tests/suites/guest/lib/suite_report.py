# SPDX-License-Identifier: GPL-2.0-or-later
#
# The comparer of zone reports itself: it must accept what is the same and
# name each field that is not, or every comparison above it means nothing.

import zonereport
from tap import check, equal

HOST = '''\
start: 0x0, len 0x2000, cap 0x2000, wptr 0x0, zcond:0, [type: 1]
start: 0x2000, len 0x2000, cap 0x1800, wptr 0x2000, zcond:1, [type: 2]
start: 0x4000, len 0x2000, cap 0x1800, wptr 0x4008, zcond:4, [type: 2]
start: 0x6000, len 0x2000, cap 0x1800, wptr 0x7800, zcond:14, [type: 2]
'''
GUEST = '''\
  start: 0x000000000, len 0x002000, cap 0x002000, wptr 0x000000 reset:0 \
non-seq:0, zcond: 0(nw) [type: 1(CONVENTIONAL)]
  start: 0x000002000, len 0x002000, cap 0x001800, wptr 0x000000 reset:0 \
non-seq:0, zcond: 1(em) [type: 2(SEQ_WRITE_REQUIRED)]
  start: 0x000004000, len 0x002000, cap 0x001800, wptr 0x000008 reset:0 \
non-seq:0, zcond: 2(oi) [type: 2(SEQ_WRITE_REQUIRED)]
  start: 0x000006000, len 0x002000, cap 0x001800, wptr 0x002000 reset:0 \
non-seq:0, zcond:14(fu) [type: 2(SEQ_WRITE_REQUIRED)]
'''
QMP = (
    {'start': 0, 'length': 4194304, 'capacity': 4194304, 'count': 1,
     'type': 'conventional', 'condition': 'not-write-pointer'},
    {'start': 4194304, 'length': 4194304, 'capacity': 3145728, 'count': 1,
     'write-pointer': 4194304, 'type': 'sequential-write-required',
     'condition': 'empty'},
    {'start': 8388608, 'length': 4194304, 'capacity': 3145728, 'count': 1,
     'write-pointer': 8392704, 'type': 'sequential-write-required',
     'condition': 'closed'},
    {'start': 12582912, 'length': 4194304, 'capacity': 3145728, 'count': 1,
     'type': 'sequential-write-required', 'condition': 'full'})


class Reports:
    def __init__(self, suite):
        self.suite = suite
        self.tests = [
            ('compare: equal reports of host and guest are the same',
             self.equal_reports),
            ('compare: every single changed field is found', self.changed),
            ('compare: a missing zone and an unreadable line are found',
             self.malformed),
            ('compare: a QMP report that says what cannot be is found',
             self.qmp),
        ]

    def set_up(self):
        pass

    def tear_down(self):
        pass

    def is_broken(self):
        return False

    def equal_reports(self):
        host = zonereport.parse_host(HOST)
        guest = zonereport.after_restart(zonereport.parse_guest(GUEST))
        equal(zonereport.differences(host, guest, 'host', 'guest'), [],
              'differences')

    def changed(self):
        host = zonereport.parse_host(HOST)
        for i, zone in enumerate(host):
            for field in zone._fields:
                if field == 'wp' and zone.cond in (zonereport.NOT_WP,
                                                   zonereport.FULL):
                    continue
                other = list(host)
                other[i] = zone._replace(**{field: getattr(zone, field) + 1})
                lines = zonereport.differences(host, other, 'a', 'b')
                check(any(line.startswith('zone %d, %s:' % (i, field))
                          for line in lines),
                      'zone %d: a changed %s was not found: %s' %
                      (i, field, lines))

    def malformed(self):
        host = zonereport.parse_host(HOST)
        check(zonereport.differences(host, host[:-1], 'a', 'b'),
              'a missing zone was not found')
        for text in ('', 'start: 0x0\n', HOST + 'error\n'):
            try:
                zonereport.parse_host(text)
            except ValueError:
                continue
            raise AssertionError('accepted: %r' % text)

    def qmp(self):
        host = zonereport.parse_host(HOST)
        equal(zonereport.differences(zonereport.parse_qmp(QMP), host, 'QMP',
                                     'host'), [], 'differences')
        folded = zonereport.parse_qmp([dict(QMP[0], count=3)])
        equal([zone.start for zone in folded], [0, 0x2000, 0x4000], 'starts')
        for number, change in (
                # Below its zone, above its capacity, where it has no meaning,
                # and none where it has one
                (2, {'write-pointer': 8388096}),
                (2, {'write-pointer': 11534336}),
                (1, {'write-pointer': 4194816}),
                (3, {'write-pointer': 15728640}),
                (0, {'write-pointer': 0}), (2, {'write-pointer': None}),
                # Gaps, and what no zone can be
                (0, {'start': 512}), (1, {'start': 0}), (0, {'count': 2}),
                (2, {'count': 2}), (1, {'count': 0}), (1, {'capacity': 0}),
                (1, {'capacity': 8388608}), (1, {'condition': 'busy'}),
                (1, {'type': 'conventional'}), (1, {'type': None}),
                (1, {'length': '4194304'}), (1, {'more': 1})):
            zones = list(QMP)
            zones[number] = {**QMP[number], **change}
            for key, value in change.items():
                if value is None:
                    del zones[number][key]
            try:
                zonereport.parse_qmp(zones)
            except ValueError:
                continue
            raise AssertionError('zone %d: accepted: %s' % (number, change))

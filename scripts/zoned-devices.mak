# SPDX-License-Identifier: GPL-2.0-or-later
#
# The devices of the build with sanitizers: what the zoned tests attach, and
# no more, which saves most of the minutes that such a build takes.
CONFIG_I440FX=y
CONFIG_Q35=y
CONFIG_TEST_DEVICES=y
CONFIG_PCI_TESTDEV=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_SCSI=y
CONFIG_NVME_PCI=y
# The tests of who may hold a zoned node try these.
CONFIG_FDC_ISA=y
CONFIG_USB_STORAGE_BOT=y
CONFIG_USB_STORAGE_CLASSIC=y
CONFIG_USB_XHCI_PCI=y
CONFIG_SCSI=y

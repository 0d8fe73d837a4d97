# SPDX-License-Identifier: MIT
"""Files for the boot tests that are no good kernels, and some that are nearly so."""
import random
import struct

from machines import GUEST, scratch_file

MAGIC = 0x1BADB002
PAGE_ALIGN, MEMORY_INFO, ADDRESSES = 1, 2, 1 << 16
LOAD, EXECUTABLE, MACHINE_386, MACHINE_ARM = 1, 2, 3, 40
HEADER_OFFSET = 0x200   # of the Multiboot header in the files made here


def write(name, content):
    path = scratch_file(name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def header(flags=PAGE_ALIGN | MEMORY_INFO, addresses=()):
    return struct.pack("<III", MAGIC, flags, -(MAGIC + flags) & 0xFFFFFFFF) + \
        struct.pack(f"<{len(addresses)}I", *addresses)


def elf(segments, entry=None, machine=MACHINE_386, flags=PAGE_ALIGN | MEMORY_INFO, segment_size=32):
    """A 32-bit ELF kernel of segments (address, bytes in the file, bytes in memory)."""
    entry = segments[0][0] if entry is None else entry
    content = bytearray(b"\x7fELF\x01\x01\x01".ljust(16, b"\0"))
    content += struct.pack("<HHIIIIIHHHHHH", EXECUTABLE, machine, 1, entry, 52, 0, 0, 52,
                           segment_size, len(segments), 0, 0, 0)
    for address, in_file, in_memory in segments:
        content += struct.pack("<8I", LOAD, 0x1000, address, address, in_file, in_memory, 7, 4096)
    content = content.ljust(HEADER_OFFSET, b"\0") + header(flags)
    return bytes(content.ljust(0x1000, b"\0") + b"\xfa\xf4" * 2048)


def addressed(load, load_end, bss_end, entry, length=8192, header_address=None):
    """A kernel whose Multiboot header gives the addresses."""
    header_address = load + HEADER_OFFSET if header_address is None else header_address
    return bytes(HEADER_OFFSET) + \
        header(ADDRESSES, (header_address, load, load_end, bss_end, entry)).ljust(
            length - HEADER_OFFSET, b"\xf4")


GOOD_ENTRY, BAD_ENTRY = 11, 12  # what a kernel made by running() writes to the debug-exit port


def running(load):
    """A kernel with addresses in its header that looks at what Multiboot promises (3.2, 3.3)."""
    bss = load + 0x1000
    checks = [
        b"\x3d" + struct.pack("<I", 0x2BADB002),                 # cmp eax, loader's magic
        b"\x0f\x20\xc0\x25\x01\x00\x00\x80\x83\xf8\x01",         # cr0: PE without PG
        b"\x9c\x58\xa9\x00\x02\x02\x00",                         # eflags: no IF, no VM
        b"\x8b\x03\x24\x4c\x3c\x4c",                             # flags: line, modules, map
        b"\x83\x3d" + struct.pack("<I", bss) + b"\x00",         # bss is zero
    ]
    # A stack for PUSHFD: Multiboot gives none. (Nor a GDT: segments are not loaded.)
    code = b"\xbc" + struct.pack("<I", bss + 0x2000)
    rest = sum(len(check) + 6 for check in checks)
    for check in checks:
        code += check
        rest -= len(check) + 6
        code += b"\x0f\x85" + struct.pack("<i", rest + 4)        # jne bad
    code += bytes([0xB0, GOOD_ENTRY, 0xEB, 0x02, 0xB0, BAD_ENTRY])
    code += b"\xba\xf4\x00\x00\x00\xee\xf4\xeb\xfd"             # out to the port, halt
    image = bytes(HEADER_OFFSET) + header(
        ADDRESSES, (load + HEADER_OFFSET, load, load + 0x1000, bss + 0x3000, load + 0x400))
    # What follows load_end_addr is not loaded.
    return image.ljust(0x400, b"\0") + code.ljust(0xC00, b"\xf4") + b"\xff" * 0x4000


def truncated(size):
    with open(GUEST, "rb") as file:
        return file.read(size)


def bzimage(size=32768, protocol=0x20F, load_flags=1, preferred=0x1000000, alignment=0x200000,
            needs=1 << 20):
    """A Linux kernel's header, with nothing behind it that would run."""
    content = bytearray(32768)
    fields = ((0x1F1, "<B", 4), (0x1F4, "<I", (32768 - 5 * 512) // 16), (0x1FE, "<H", 0xAA55),
              (0x201, "<B", 0x66), (0x202, "<4s", b"HdrS"), (0x206, "<H", protocol),
              (0x211, "<B", load_flags), (0x22C, "<I", 0x7FFFFFFF), (0x230, "<I", alignment),
              (0x238, "<I", 2047), (0x258, "<Q", preferred), (0x260, "<I", needs))
    for offset, form, value in fields:
        struct.pack_into(form, content, offset, value)
    return bytes(content[:size])


STARTED = r"^the first module cannot be started: "
NO_HEADER = STARTED + r"it has no Multiboot 1 header"
NO_MEMORY = STARTED + r"it wants to be loaded where there is no free "
CUT_OFF = STARTED + r".*\(truncated\?\)"


def bad():
    """Name, content, and what the hypervisor must say of it on a machine with 512 MiB."""
    return [
        ("an empty file", b"", NO_HEADER),
        ("a text file", b"Not a kernel at all.\n" * 1000, NO_HEADER),
        ("random bytes", random.Random(1).randbytes(100000), NO_HEADER),
        ("one byte", b"\x7f", NO_HEADER),
        ("a Linux zImage", bzimage(load_flags=0), STARTED + r".*zImage"),
        ("an old Linux kernel", bzimage(protocol=0x200), STARTED + r".*older than"),
        ("a Linux kernel cut off in its header", bzimage(size=0x210), STARTED + r".*truncated"),
        ("a Linux kernel cut off", bzimage(size=20000), STARTED + r".*truncated"),
        ("a Linux kernel for above 4 GiB", bzimage(preferred=0xFFF00000, needs=0x200000),
         STARTED + r".*above 4 GiB"),
        ("a Linux kernel with an impossible alignment", bzimage(alignment=3),
         STARTED + r".*alignment"),
        ("a Linux kernel that needs 1 GiB", bzimage(needs=1 << 30), r"(?i)memory"),
        ("a header with a wrong checksum",
         bytes(64) + struct.pack("<III", MAGIC, 3, 5) + bytes(4096), NO_HEADER),
        ("a header beyond the first 8 KiB", bytes(8192) + header() + bytes(4096), NO_HEADER),
        ("a header in no ELF file", bytes(64) + header() + bytes(4096), r"it is no ELF file"),
        ("a header that asks for what is not known", elf([(0x100000, 16, 16)], flags=1 << 5),
         r"requires something that is not known"),
        ("a kernel for another processor", elf([(0x100000, 16, 16)], machine=MACHINE_ARM),
         r"for another processor"),
        ("a kernel without segments", elf([(0x100000, 0, 0)]), r"no ELF segments"),
        ("a kernel that is larger in the file", elf([(0x100000, 4096, 16)]), r"larger in the file"),
        ("program headers that are too short", elf([(0x100000, 16, 16)], segment_size=8),
         r"program headers are too short"),
        ("a kernel cut off after 5000 bytes", truncated(5000), CUT_OFF),
        ("a kernel cut off in the middle", truncated(25000), CUT_OFF),
        ("a kernel at 768 MiB, where there is no memory", elf([(0x30000000, 16, 4096)]), NO_MEMORY),
        ("a kernel with 2 GiB of zeros", elf([(0x100000, 16, 0x80000000)]), NO_MEMORY),
        ("a kernel where the hypervisor is", elf([(0x1FF00000, 16, 4096)]), NO_MEMORY),
        ("a kernel where the BIOS is", elf([(0x9F000, 4096, 0x10000)]), NO_MEMORY),
        ("a kernel that wraps around 4 GiB", elf([(0xFFFFF000, 16, 0x2000)]), r"above 4 GiB"),
        ("an entry point outside", elf([(0x100000, 16, 4096)], entry=0x200000),
         r"its entry point is in none of its segments \(address 0x200000\)"),
        ("impossible load addresses", addressed(0x200000, 0, 0, 0x200000, header_address=0x100000),
         r"impossible load addresses"),
        ("load addresses beyond the file", addressed(0x200000, 0x300000, 0, 0x200000), CUT_OFF),
        ("an impossible end of bss", addressed(0x200000, 0x201000, 0x200800, 0x200000),
         r"impossible end of bss"),
    ]

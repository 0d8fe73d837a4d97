# SPDX-License-Identifier: MIT
"""The hypervisor's command line."""
from checks import memory_adds_up, runs_well
from machines import Failure, kernel_arguments, qemu, read_text, scratch_file


def word(hv, line="quick end=code:9", cpus=2, **options):
    run = qemu(*kernel_arguments(line, hv), cpus=cpus, **options)
    run.need(run.status == 9, "the guest does not come to its end")
    return run


def fewer_processors():
    run = qemu(*kernel_arguments("expect=1", "cpus=1 log=debug"), cpus=2)
    runs_well(run, processors=1)


def role(name, words):
    run = qemu(*kernel_arguments(f"expect=2 role={name}", f"log=debug role={name}"))
    runs_well(run)
    run.says(rf"for the first partition \({words}\)$")


def pool():
    run = word("pool=33")
    run.says(r"kept by the hypervisor \(pool 33792 KiB\)")
    memory_adds_up(qemu(*kernel_arguments("", "pool=100 log=debug")), 512)


def levels():
    lines = {level: word(f"log={level} nonsense").vellum()
             for level in ("error", "warn", "info", "debug")}
    for level, wanted in (("error", 0), ("warn", 1)):
        if len(lines[level]) != wanted:
            raise Failure(f"log={level} prints {lines[level]}")
    if not 1 < len(lines["info"]) < len(lines["debug"]):
        raise Failure(f"log=info prints {lines['info']}, log=debug {lines['debug']}")


def second_console():
    first, second = scratch_file("com1"), scratch_file("com2")
    run = word("console=com2", serial=["-serial", f"file:{first}", "-serial", f"file:{second}"])
    run.text = read_text(first)
    run.need(not run.vellum() and "# ends by" in run.text, "COM1 is not the guest's alone")
    run.text = read_text(second)
    run.need(len(run.vellum()) > 1, "nothing on COM2")
    run.need("# ends by" not in run.text, "the guest's words are on COM2")


def missing_second_console():
    run = word("console=com2")
    run.need(not run.vellum(), "the hypervisor prints although its UART is missing")


def no_console():
    run = word("console=none")
    run.need(not run.vellum(), "the hypervisor prints")


def unknown_words():
    run = word("role=king  cpus=0 nonsense pool=4x \t log=loud console=lpt1 cpus=65 pool=2049 "
               "role=")
    for text in ("role=king", "cpus=0", "pool=4x", "log=loud", "console=lpt1", "cpus=65",
                 "pool=2049", "role="):
        run.says(f"^option '{text}' is not understood: the ")
    run.says("^unknown option 'nonsense'$")
    run.says(r"2 processors")
    run.says(r"pool 8192 KiB.*\(root\)")


def long_words():
    """Lines of 2047 characters are taken, longer ones refused rather than cut."""
    run = qemu(*kernel_arguments("quick end=code:9 " + "y" * 1900, "x" * 1900 + " role=guest"))
    run.need(run.status == 9, "the guest does not come to its end")
    run.says("^unknown option 'xxxx")
    run.says(r"\(guest\)$")
    for arguments in (kernel_arguments("", "x" * 3000), kernel_arguments("y" * 3000, "")):
        qemu(*arguments).refused(r"cannot be used: a command line is longer than 2047 characters$")


def cases():
    yield "cpus=1 of 2", fewer_processors
    yield "role=root", lambda: role("root", "root")
    yield "role=layered", lambda: role("layered", "layered host")
    yield "role=guest", lambda: role("guest", "guest")
    yield "pool=", pool
    yield "log=", levels
    yield "console=com2", second_console
    yield "console=com2 without a UART there", missing_second_console
    yield "console=none", no_console
    yield "unknown words and bad values are named in warnings", unknown_words
    yield "long words", long_words

"""The child process that executes CPUID: a few bytes of machine code, made executable and called.

It stands alone (standard library only, no package imports) because the parent runs it by its path
with `python -I -S`: the Xen variant of the instruction kills a process that does not run on Xen,
so it must never be executed in a process that anybody needs.

    cpuid_child.py plain     CPUID as every program executes it
    cpuid_child.py forced    CPUID behind the prefix that Xen emulates for its PV domains

Prints one line a leaf, in the format of `cpuid --raw`.
"""

import ctypes
import mmap
import resource
import sys

HYPERVISOR_BASES = range(0x40000000, 0x40010000, 0x100)
"""Where hypervisors announce themselves: Linux searches the same range in the same steps."""

ENTER = bytes.fromhex("53 49 89 d0 89 f8 89 f1")  # push rbx; r8 = out; eax = leaf; ecx = subleaf
XEN_PREFIX = bytes.fromhex("0f 0b 78 65 6e")  # ud2a; "xen"
CPUID = bytes.fromhex("0f a2")
LEAVE = bytes.fromhex("41 89 00 41 89 58 04 41 89 48 08 41 89 50 0c 5b c3")  # out = eax..edx; ret

PR_SET_DUMPABLE = 4

Registers = ctypes.c_uint32 * 4


def make_executable(code: bytes) -> int:
    """Put machine code into a fresh page and return its address. Errors: OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    number = ctypes.c_int
    libc.mmap.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        number,
        number,
        number,
        ctypes.c_long,
    )
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, number)
    address = libc.mmap(
        None,
        mmap.PAGESIZE,
        mmap.PROT_READ | mmap.PROT_WRITE,
        mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
        -1,
        0,
    )
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap refused a page")
    ctypes.memmove(address, code, len(code))
    # Never writable and executable at once: hardened kernels refuse such pages.
    if libc.mprotect(address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
        raise OSError(ctypes.get_errno(), "mprotect refused to make a page executable")
    return int(address)


def leave_no_core_dump() -> None:
    """Keep the expected death by signal from filling a disk or waking a crash reporter."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def is_signature(registers: tuple[int, int, int, int]) -> bool:
    """Whether ebx, ecx, edx spell a name, as they do where a hypervisor announces itself."""
    name = b"".join(register.to_bytes(4, "little") for register in registers[1:]).rstrip(b"\0")
    return len(name) >= 4 and all(0x20 <= byte < 0x7F for byte in name)


def main(form: str) -> int:
    """Print the leaves that say something of a hypervisor."""
    leave_no_core_dump()
    prefix = XEN_PREFIX if form == "forced" else b""
    address = make_executable(ENTER + prefix + CPUID + LEAVE)
    call = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32))
    execute = call(address)

    def cpuid(leaf: int) -> tuple[int, int, int, int]:
        registers = Registers()
        execute(leaf, 0, registers)
        return registers[0], registers[1], registers[2], registers[3]

    def say(leaf: int, registers: tuple[int, int, int, int]) -> None:
        values = " ".join(
            f"{name}=0x{value:08x}"
            for name, value in zip(("eax", "ebx", "ecx", "edx"), registers, strict=True)
        )
        print(f"0x{leaf:08x} 0x00: {values}", flush=True)

    say(1, cpuid(1))
    for base in HYPERVISOR_BASES:
        announced = cpuid(base)
        if base == HYPERVISOR_BASES[0] or is_signature(announced):
            say(base, announced)
            say(base + 1, cpuid(base + 1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

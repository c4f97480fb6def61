"""What a canary tries inside a cell: small attacks, each of which says that it ran and how it went.

Run as `python -m evo.sandbox.canary`, with a `Bait` as JSON on standard input. Every attempt prints
`NAME ran`, and then `NAME refused WHY` or `NAME succeeded`; those of `NEEDED` must succeed.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

FORBIDDEN = ~(1 << 1 | 1 << 2)
"""Capabilities that a cell may keep: to read past the modes of files."""
NEEDED = ("starts_programs", "imports_libraries", "writes_its_scratch", "sees_its_gpu")
TRACE_ATTACH = 16
HELD_SECONDS = 1.5
Buffer = ctypes.Array[ctypes.c_char]


class Refused(Exception):  # noqa: N818 - it is what is hoped for
    """An attempt came to nothing."""


class Canary:
    """The attempts: every method without an underscore is one.

    Args:
        bait: What there is to be had: paths, ports and the referee's process.
    """

    def __init__(self, bait: dict[str, str]) -> None:
        self._bait = bait
        self._libc = ctypes.CDLL(None, use_errno=True)

    def starts_programs(self) -> None:
        subprocess.run([sys.executable, "-S", "-c", "pass"], check=True, timeout=30)

    def imports_libraries(self) -> None:
        import msgspec
        import numpy as np

        assert np.ones(2).sum() == 2
        assert msgspec.json.decode(b"1") == 1

    def writes_its_scratch(self) -> None:
        Path("mine").write_text("1")
        assert Path("mine").read_text() == "1"

    def sees_its_gpu(self) -> None:
        if os.environ["CUDA_VISIBLE_DEVICES"]:
            code = ctypes.CDLL("libcuda.so.1").cuInit(0)
            assert code == 0, f"cuInit says {code}"

    def read_a_secret(self) -> None:
        Path(self._bait["secret"]).read_text()

    def list_a_folder(self) -> None:
        os.listdir(self._bait["folder"])  # noqa: PTH208

    def write_outside(self) -> None:
        (Path(self._bait["folder"]) / "written").write_text("1")

    def change_a_file_outside(self) -> None:
        os.truncate(self._bait["open_to_all"], 0)

    def read_the_environment(self) -> None:
        places = [Path("/proc/self/environ"), Path(f"/proc/{self._bait['referee']}/environ")]
        found = [place for place in places if b"EVO_CANARY" in _bytes_of(place)]
        self._refuse_unless(bool(found) or "EVO_CANARY" in os.environ)

    def look_at_the_referee(self) -> None:
        place = Path(f"/proc/{self._bait['referee']}")
        self._refuse_unless(b"evo" in _bytes_of(place / "cmdline") or bool(_listing(place / "fd")))

    def signal_the_referee(self) -> None:
        os.kill(int(self._bait["referee"]), 0)
        self._refuse_unless(not self._bait["private"])  # in a namespace it is somebody else

    def trace_the_referee(self) -> None:
        self._call("ptrace", TRACE_ATTACH, int(self._bait["referee"]), 0, 0)

    def limit_the_referee(self) -> None:
        import resource

        resource.prlimit(int(self._bait["referee"]), resource.RLIMIT_NOFILE)

    def be_root(self) -> None:
        status = Path("/proc/self/status").read_text()
        held = int(status.split("CapEff:")[1].split()[0], 16)
        self._refuse_unless(os.geteuid() == 0 or bool(held & FORBIDDEN))

    def gain_privileges(self) -> None:
        status = Path("/proc/self/status").read_text()
        self._refuse_unless(status.split("NoNewPrivs:")[1].split()[0] != "1")

    def make_a_namespace(self) -> None:
        self._call("unshare", 0x10000000)

    def mount(self) -> None:
        self._call("mount", b"none", b".", b"tmpfs", 0, None)

    def set_up_io_uring(self) -> None:
        self._call("syscall", 425, 8, ctypes.create_string_buffer(256))

    def open_a_kernel_setting(self) -> None:
        os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))

    def send_by_tcp(self) -> None:
        socket.create_connection(("127.0.0.1", int(self._bait["tcp"])), 2).sendall(b"x")

    def send_by_udp(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
            plug.sendto(b"x", ("127.0.0.1", int(self._bait["udp"])))
        # In a network of its own, what was sent went nowhere; the listener knows.

    def send_to_a_path(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
            plug.sendto(b"x", self._bait["unix"])

    def send_to_an_abstract_name(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
            plug.sendto(b"x", "\0" + self._bait["abstract"])

    def redirect_a_pair_of_sockets(self) -> None:
        one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.sendto(b"x", self._bait["unix"])

    def start_many_processes(self) -> None:
        reader, writer = os.pipe()
        started = []
        try:
            for _ in range(int(self._bait["tasks"])):
                started.append(os.fork())
                if not started[-1]:
                    os.close(writer)
                    os.read(reader, 1)
                    os._exit(0)
        finally:
            os.close(writer)  # they end with it: not every cell may send signals to its children
            os.close(reader)
            for pid in started:
                os.waitpid(pid, 0)

    def fill_the_scratch(self) -> None:
        block = bytes(1 << 20)
        for number in range(int(self._bait["scratch_mb"])):
            Path(f"block{number}").write_bytes(block)

    def leave_a_daemon(self) -> None:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)  # it holds our standard output open: who reads that sees it
            os._exit(0)
        os.wait()
        raise Refused("it is looked for outside")

    def take_memory(self) -> None:
        """The last one: where a control group counts, the whole cell ends for it."""
        wanted = int(self._bait["memory_mb"]) << 20
        taken = bytearray(b"x") * wanted
        time.sleep(HELD_SECONDS)  # until those outside have counted, where nothing else does
        self._refuse_unless(len(taken) == wanted)

    def _refuse_unless(self, succeeded: bool) -> None:
        if not succeeded:
            raise Refused("nothing came of it")

    def _call(self, name: str, *arguments: int | bytes | Buffer | None) -> None:
        given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
        if getattr(self._libc, name)(*given) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _listing(path: Path) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208
    except OSError:
        return []


def attempts() -> list[str]:
    """Names, in the order in which they are made."""
    return [name for name in vars(Canary) if not name.startswith("_")]


def main() -> None:
    """Makes every attempt."""
    canary = Canary(json.loads(sys.stdin.read()))
    for name in attempts():
        print(name, "ran", flush=True)
        method: Callable[[], None] = getattr(canary, name)
        try:
            method()
        except Exception as error:
            print(name, "refused", f"{type(error).__name__}: {error}".splitlines()[0], flush=True)
        else:
            print(name, "succeeded", flush=True)


if __name__ == "__main__":
    main()

"""Hostile scripts that try to send something out: nobody may hear of it."""

import json
import socket
import subprocess
import sys
import textwrap

import pytest

from evo.sandbox.plan import Tier
from tests.attacks.world import BEGUN, PRELUDE, TRIED, World, world

CONNECT = """
    def send(*address, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        with socket.socket(family, kind, protocol) as plug:
            plug.settimeout(2)
            plug.connect(address[0])
            plug.sendall(b'OUT')
        return 'sent'
"""
ATTACKS = {
    "by TCP": "attempt(lambda: send(('127.0.0.1', int(BAIT['tcp']))))",
    "by TCP over IPv6": "attempt(lambda: send(('::1', int(BAIT['tcp6'])), family=socket.AF_INET6))",
    "by multipath TCP": "attempt(lambda: send(('127.0.0.1', int(BAIT['tcp'])), protocol=262))",
    "by UDP, as a question for names": (
        "attempt(lambda: send(('127.0.0.1', int(BAIT['udp'])), kind=socket.SOCK_DGRAM))"
    ),
    "by fast open, without connecting": """
        def fast():
            with socket.socket() as plug:
                return plug.sendto(b'OUT', 0x20000000, ('127.0.0.1', int(BAIT['tcp']))) and 'sent'
        attempt(fast)
    """,
    "by asking for a name": "attempt(lambda: socket.getaddrinfo('example.org', 80) and 'known')",
    "to a socket in the file system": """
        attempt(lambda: send(BAIT['folder'] + '/stream', family=socket.AF_UNIX))
        attempt(lambda: send(BAIT['folder'] + '/datagram', family=socket.AF_UNIX,
                             kind=socket.SOCK_DGRAM))
    """,
    "to an abstract socket": """
        name = '\\0' + os.path.basename(BAIT['folder'])
        attempt(lambda: send(name, family=socket.AF_UNIX))
        attempt(lambda: send(name + '-datagram', family=socket.AF_UNIX, kind=socket.SOCK_DGRAM))
    """,
    "by one of a pair of sockets, pointed elsewhere": """
        def redirect(how, address):
            one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            how(one, address)
            return 'sent'
        for address in (BAIT['folder'] + '/datagram',
                        '\\0' + os.path.basename(BAIT['folder']) + '-datagram'):
            attempt(lambda: redirect(lambda plug, to: plug.sendto(b'OUT', to), address))
            attempt(lambda: redirect(lambda plug, to: plug.sendmsg([b'OUT'], [], 0, to), address))
            attempt(lambda: redirect(lambda plug, to: (plug.connect(to), plug.send(b'O')), address))
    """,
    "through io_uring": """
        attempt(lambda: call('syscall', 425, 8, ctypes.create_string_buffer(256)) or 'made')
    """,
    "into a pipe that somebody reads": """
        def put():
            handle = os.open(BAIT['folder'] + '/fifo', os.O_RDWR | os.O_NONBLOCK)
            os.write(handle, b'OUT')
        attempt(put)
    """,
    "onto a terminal": """
        def show():
            handle = os.open(BAIT['terminal'], os.O_WRONLY | os.O_NOCTTY)
            os.write(handle, b'OUT')
        attempt(show)
        import fcntl
        for stream in (0, 1, 2):
            attempt(lambda: [fcntl.ioctl(stream, 0x5412, b'x')] and 'typed')
    """,
    "by the log of the machine": """
        import syslog
        def log():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
                plug.connect('/dev/log')
        attempt(log)
        attempt(lambda: open('/dev/kmsg', 'w').write('OUT'))
    """,
    "by shared memory": """
        def share():
            libc.shmat.restype = ctypes.c_void_p
            address = libc.shmat(int(BAIT['segment']), None, 0)
            if address in (None, 2**64 - 1):
                raise OSError('shmat')
            ctypes.memmove(address, b'OUT', 3)
        attempt(share)
        attempt(lambda: open(BAIT['shm'], 'w').write('OUT'))
    """,
}


def _shared_bytes(world: World) -> bytes:
    with open(world.bait["shm"], "rb") as file:  # noqa: PTH123
        return file.read()


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_is_heard_outside(shared: World, tier: Tier, attack: str) -> None:
    before = _shared_bytes(shared)
    outcome = shared.run(tier, CONNECT + _indented(ATTACKS[attack]))
    assert BEGUN in outcome.output
    assert TRIED in outcome.output
    assert shared.harm() == []
    assert _shared_bytes(shared) == before
    assert outcome.survivors == 0


def test_no_socket_of_another_family_can_be_made(shared: World, tier: Tier) -> None:
    attack = """
        made = []
        for family in range(2, 46):
            for kind in (1, 2, 3, 5):
                try:
                    socket.socket(family, kind).close()
                    made.append((family, kind))
                except OSError:
                    pass
        print('TRIED', made)
    """
    assert "TRIED []" in shared.run(tier, attack).output


def test_a_cell_cant_be_called_from_outside(shared: World, tier: Tier) -> None:
    attack = """
        def listen():
            ear = socket.socket()
            ear.bind(('127.0.0.1', 47123))
            ear.listen()
            return 'listens'
        attempt(listen)
        time.sleep(0.3)
    """
    outcome = shared.run(tier, attack)
    assert TRIED in outcome.output
    assert "listens" not in outcome.output
    with socket.socket() as plug:
        assert plug.connect_ex(("127.0.0.1", 47123)) != 0


@pytest.mark.parametrize(
    ("attack", "ear"),
    [
        ("by TCP", "tcp"),
        ("by TCP over IPv6", "tcp6"),
        ("by UDP, as a question for names", "udp"),
        ("to a socket in the file system", "stream"),
        ("to an abstract socket", "abstract"),
        ("by one of a pair of sockets, pointed elsewhere", "datagram"),
    ],
)
def test_outside_of_a_cell_the_same_is_heard(attack: str, ear: str) -> None:
    """The assertions above can fail."""
    with world() as own:
        source = PRELUDE + textwrap.dedent(CONNECT + _indented(ATTACKS[attack]))
        environment = {"BAIT": json.dumps(own.bait)}
        subprocess.run([sys.executable, "-S", "-c", source], env=environment, check=True)
        assert f"something came by {ear}" in own.harm()


def _indented(attack: str) -> str:
    """The attack at the depth of what stands before it."""
    return textwrap.indent(textwrap.dedent(attack), "    ")

"""Hostile scripts that are after secrets and other people's data: none of it may come out."""

import pytest

from evo.sandbox.plan import Tier
from tests.attacks.world import BEGUN, GOT, TRIED, World

ATTACKS = {
    "opens files by their path": """
        for name in ('ssh_key', 'archive', 'validation', 'other_trial'):
            attempt(lambda: print(read(f"{BAIT['folder']}/{name}")))
    """,
    "opens the passwords of the machine": """
        for path in ('/etc/shadow', '/etc/passwd', '/etc/ssh/sshd_config', '/root/.bashrc'):
            attempt(lambda: print(read(path)) or True)
    """,
    "reads what the machine counts": """
        for name in ('vmstat', 'zoneinfo', 'buddyinfo', 'diskstats', 'interrupts', 'softirqs',
                     'pressure/cpu', 'pressure/memory', 'sys/fs/dentry-state', 'sys/fs/inode-nr'):
            attempt(lambda: print(read(f'/proc/{name}')) or True)
        import glob
        for pattern in ('/proc/fs/*/*/*', '/sys/devices/system/node/node*/*stat'):
            for path in glob.glob(pattern):
                attempt(lambda: print(read(path)) or True)
    """,
    "goes by a symbolic link": """
        os.symlink(f"{BAIT['folder']}/ssh_key", 'link')
        attempt(lambda: print(read('link')))
    """,
    "goes by a hard link": """
        attempt(lambda: os.link(f"{BAIT['folder']}/ssh_key", 'link'))
        attempt(lambda: print(read('link')))
    """,
    "goes by the root folders of processes": """
        for pid in ('self', '1', BAIT['referee'], BAIT['bystander'], str(os.getppid())):
            for place in ('root', 'cwd'):
                attempt(lambda: print(read(f"/proc/{pid}/{place}{BAIT['folder']}/ssh_key")))
    """,
    "opens a file without reading it and then opens that": """
        def both():
            handle = os.open(f"{BAIT['folder']}/ssh_key", os.O_PATH)
            print(read(f'/proc/self/fd/{handle}'))
        attempt(both)
    """,
    "opens by file handle": """
        def by_handle():
            handle, mount = ctypes.create_string_buffer(136), ctypes.c_int()
            handle[0:4] = (128).to_bytes(4, 'little')
            name, opened = (303, 304) if os.uname().machine == 'x86_64' else (264, 265)
            path = f"{BAIT['folder']}/ssh_key".encode()
            call('syscall', name, -100, path, handle, ctypes.byref(mount), 0)
            at = os.open('/', os.O_RDONLY)
            print(os.read(call('syscall', opened, at, handle, 0), 100))
        attempt(by_handle)
    """,
    "looks for files everywhere": """
        def walk():
            found = 0
            for top in ('/home', '/root', '/var', '/tmp', '/dev/shm', '/mnt', '/opt', '/srv'):
                for folder, _, names in os.walk(top):
                    for name in names[:50]:
                        try:
                            print(read(os.path.join(folder, name))[:200])
                        except OSError:
                            pass
            return 'walked'
        attempt(walk)
    """,
    "searches the environments of all processes": """
        def search():
            for pid in [one for one in os.listdir('/proc') if one.isdigit()]:
                try:
                    print(read(f'/proc/{pid}/environ'))
                except OSError:
                    pass
            return 'searched'
        attempt(search)
        attempt(lambda: print(read(f"/proc/{BAIT['bystander']}/environ")))
        attempt(lambda: print(read(f"/proc/{BAIT['referee']}/environ")))
    """,
    "reads the command lines of all processes": """
        for pid in (BAIT['bystander'], BAIT['referee'], str(os.getppid())):
            attempt(lambda: print(read(f'/proc/{pid}/cmdline')) or 'no secret if this is ours')
    """,
    "traces processes": """
        for pid in (int(BAIT['bystander']), int(BAIT['referee']), os.getppid()):
            attempt(lambda: call('ptrace', 16, pid, 0, 0) and None)
            attempt(lambda: call('ptrace', 0x4206, pid, 0, 0) and None)
    """,
    "reads the memory of processes": """
        for pid in (int(BAIT['bystander']), int(BAIT['referee']), os.getppid()):
            attempt(lambda: print(len(read(f'/proc/{pid}/mem'))))
            attempt(lambda: print(len(read(f'/proc/{pid}/maps'))))
            buffer = ctypes.create_string_buffer(16)
            vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 16)
            attempt(lambda: call('process_vm_readv', pid, vector, 1, vector, 1, 0) and None)
    """,
    "takes descriptors of processes": """
        def take(pid):
            handle = call('syscall', 434, pid, 0)
            print(os.read(call('syscall', 438, handle, 3, 0), 100))
        for pid in (int(BAIT['bystander']), int(BAIT['referee']), os.getppid()):
            attempt(lambda: take(pid))
            attempt(lambda: print(os.listdir(f'/proc/{pid}/fd')))
    """,
    "reads every descriptor that it was left": """
        def sweep():
            for number in [one for one in range(3, 1024)]:
                try:
                    os.lseek(number, 0, 0)
                    print(os.read(number, 4096))
                except OSError:
                    pass
            return 'swept'
        attempt(sweep)
    """,
    "reads System V shared memory": """
        def attach():
            libc.shmat.restype = ctypes.c_void_p
            address = libc.shmat(int(BAIT['segment']), None, 0o10000)
            if address in (None, 2**64 - 1):
                raise OSError('shmat')
            print(ctypes.string_at(address, 64))
        attempt(attach)
        attempt(lambda: print(read('/proc/sysvipc/shm')) or 'a list only')
    """,
    "reads POSIX shared memory": """
        attempt(lambda: print(read(BAIT['shm'])))
        attempt(lambda: [print(read(f'/dev/shm/{name}')) for name in os.listdir('/dev/shm')])
    """,
    "asks the keyring": """
        numbers = (248, 249, 250) if os.uname().machine == 'x86_64' else (217, 218, 219)
        attempt(lambda: call('syscall', numbers[0], b'user', b'evo', b'x', 1, -3) and None)
        attempt(lambda: call('syscall', numbers[1], b'user', b'evo', None, 0) and None)
        attempt(lambda: call('syscall', numbers[2], 0, -3, 0) and None)
    """,
    "reads what is typed on a terminal": """
        for path in (BAIT['terminal'], '/dev/tty', '/dev/console', '/dev/ptmx', '/dev/pts/0'):
            attempt(lambda: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)))
    """,
    "reads the log of the kernel": """
        attempt(lambda: call('klogctl', 3, ctypes.create_string_buffer(999), 999) and None)
        attempt(lambda: os.close(os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)))
    """,
    "reads disks and memory raw": """
        for path in ('/dev/vda', '/dev/sda', '/dev/nvme0n1', '/dev/mem', '/proc/kcore'):
            attempt(lambda: print(read(path)[:9]))
    """,
    "has a setuid program read for it": """
        program = f"{BAIT['folder']}/setuid_cat"
        attempt(lambda: print(subprocess.check_output([program, '/etc/shadow'])))
        attempt(lambda: print(subprocess.check_output(['/usr/bin/su', '-c', 'cat /etc/shadow'])))
    """,
    "becomes root": """
        attempt(lambda: os.setuid(0) if os.getuid() else 'is root already')
        attempt(lambda: os.setresgid(0, 0, 0))
        attempt(lambda: os.setgroups([0]))
        attempt(lambda: call('unshare', 0x10000000) and None)
        attempt(lambda: call('syscall', 435, ctypes.create_string_buffer(88), 88) and None)
    """,
    "watches what others do with their files": """
        def watch():
            watcher = call('inotify_init1', 0)
            call('inotify_add_watch', watcher, BAIT['folder'].encode(), 0xfff)
        attempt(watch)
    """,
    "opens a file through io_uring": """
        attempt(lambda: call('syscall', 425, 8, ctypes.create_string_buffer(256)) and None)
    """,
    "looks at other parts of evo": """
        import evo
        here = os.path.dirname(evo.__file__)
        for name in ('corpus/embedded', 'archive', 'population', 'template', 'config.py'):
            attempt(lambda: print(len(os.listdir(f'{here}/{name}'))))
            attempt(lambda: print(len(read(f'{here}/{name}'))))
    """,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_secret_comes_out(shared: World, tier: Tier, attack: str) -> None:
    outcome = shared.run(tier, ATTACKS[attack])
    assert BEGUN in outcome.output
    assert TRIED in outcome.output
    assert shared.taken(outcome.output) == []
    assert GOT not in outcome.output, outcome.output
    assert "root:" not in outcome.output
    assert outcome.survivors == 0
    assert shared.harm() == []


def test_a_secret_that_is_in_reach_is_seen_to_come_out(shared: World) -> None:
    """The assertions above can fail: without walls, the same script gets what it wants."""
    outcome = shared.run(Tier.OPEN, ATTACKS["opens files by their path"])
    assert set(shared.taken(outcome.output)) == {"ssh_key", "archive", "validation", "other_trial"}


def test_only_without_a_file_system_of_its_own_can_a_cell_see_that_a_file_exists(
    shared: World, tier: Tier
) -> None:
    """A hole that is known, and told of in docs/sandbox.md."""
    look = "print('SIZE', os.stat(BAIT['folder'] + '/ssh_key').st_size)"
    assert ("SIZE 32" in shared.run(tier, look).output) is (not tier.private)


def test_a_cell_finds_nothing_that_another_left(shared: World, tier: Tier) -> None:
    """Whatever the first one tries to leave word with, the second one doesn't find."""
    leave = """
        def everywhere():
            for path in ('word', '/tmp/word', '/dev/shm/word', '/var/tmp/word', '/cell/shm/word'):
                try:
                    open(path, 'w').write('HANDED DOWN')
                    print('LEFT', path, flush=True)
                except OSError:
                    pass
            for module in (json, subprocess):
                try:
                    open(module.__file__, 'a').write('HANDED DOWN')
                except OSError:
                    pass
            return 'left'
        attempt(everywhere)
        attempt(lambda: call('mq_open', b'/word', 0o102, 0o600, 0) and None)
        attempt(lambda: call('shmget', 4242, 4096, 0o1666) and None)
    """
    find = """
        def everywhere():
            for path in ('.', '/tmp', '/dev/shm', '/var/tmp', '/cell/shm'):
                try:
                    print('FOUND', [name for name in os.listdir(path) if name == 'word'])
                except OSError:
                    pass
            for module in (json, subprocess):
                print('HANDED DOWN' in open(module.__file__).read())
            return 'looked'
        attempt(everywhere)
        attempt(lambda: call('mq_open', b'/word', 0o2, 0o600, 0) and None)
        attempt(lambda: call('shmget', 4242, 4096, 0) and None)
    """
    first = shared.run(tier, leave)
    assert "LEFT word" in first.output, first.output
    second = shared.run(tier, find)
    assert "looked" in second.output
    assert "FOUND ['word']" not in second.output
    assert "True" not in second.output
    assert GOT not in first.output + second.output
    assert shared.harm() == []

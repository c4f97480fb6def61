"""Hostile scripts that break things, take more than they may, or don't end."""

import os
import stat
from pathlib import Path

import psutil
import pytest

from evo.sandbox import cgroups, harness
from evo.sandbox.plan import Tier
from evo.text import clean_text
from tests.attacks.world import BEGUN, GOT, LIMITS, TRIED, World

HARMLESS = {
    "deletes files": """
        for name in ('archive', 'deeper/file', 'fifo'):
            attempt(lambda: os.unlink(f"{BAIT['folder']}/{name}"))
        import shutil
        attempt(lambda: shutil.rmtree(BAIT['folder']))
    """,
    "overwrites files": """
        for name in ('archive', 'deeper/file'):
            path = f"{BAIT['folder']}/{name}"
            attempt(lambda: open(path, 'w').write('x') and None)
            attempt(lambda: open(path, 'a').write('x') and None)
            attempt(lambda: os.truncate(path, 1))
            attempt(lambda: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)))
    """,
    "moves files": """
        attempt(lambda: os.rename(f"{BAIT['folder']}/archive", f"{BAIT['folder']}/elsewhere"))
        attempt(lambda: os.rename(f"{BAIT['folder']}/archive", 'mine'))
        open('mine', 'w').write('x')
        attempt(lambda: os.rename('mine', f"{BAIT['folder']}/archive"))
        attempt(lambda: os.symlink('/etc', f"{BAIT['folder']}/link"))
        attempt(lambda: os.mkdir(f"{BAIT['folder']}/new"))
        attempt(lambda: os.mkfifo(f"{BAIT['folder']}/pipe"))
    """,
    "changes whose files they are, and when they were written": """
        path = f"{BAIT['folder']}/archive"
        for action in (lambda: os.chmod(path, 0o777), lambda: os.utime(path, (1, 1)),
                       lambda: os.chown(path, 1, 1), lambda: os.setxattr(path, 'user.x', b'1'),
                       lambda: libc.syscall(452, -100, path.encode(), 0o777, 0)):
            attempt(lambda: (action(), 'said to be done')[1])
        handle = os.open('.', os.O_RDONLY)
        attempt(lambda: (os.chmod('mine', 0o777, dir_fd=handle), 'said to be done')[1])
    """,
    "writes by a link from its own folder": """
        os.symlink(f"{BAIT['folder']}/archive", 'link')
        attempt(lambda: open('link', 'w').write('x') and None)
        os.symlink(BAIT['folder'], 'folder')
        attempt(lambda: open('folder/new', 'w').write('x') and None)
    """,
    "sends signals to everybody": """
        for pid in (int(BAIT['bystander']), int(BAIT['referee']), -1):
            for number in (signal.SIGURG, signal.SIGCONT):
                attempt(lambda: (os.kill(pid, number), 'said to be sent')[1])
        attempt(lambda: signal.pidfd_send_signal(os.pidfd_open(int(BAIT['bystander'])), 23))
        attempt(lambda: call('syscall', 129 if os.uname().machine == 'x86_64' else 138,
                             int(BAIT['bystander']), 23, ctypes.create_string_buffer(128)) and None)
        time.sleep(0.2)
    """,
    "has signals sent by a descriptor": """
        import fcntl
        reader, writer = os.pipe()
        def own():
            fcntl.fcntl(reader, fcntl.F_SETOWN, int(BAIT['bystander']))
            fcntl.fcntl(reader, 10, signal.SIGURG)
            fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
            os.write(writer, b'x')
            time.sleep(0.2)
            return 'asked'
        attempt(own)
    """,
    "sets limits and priorities of others": """
        import resource
        for pid in (int(BAIT['bystander']), int(BAIT['referee'])):
            for kind, value in ((resource.RLIMIT_NOFILE, (3, 3)), (resource.RLIMIT_CPU, (1, 1))):
                attempt(lambda: resource.prlimit(pid, kind, value) and None)
            attempt(lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
            attempt(lambda: os.sched_setaffinity(pid, {0}))
            attempt(lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
        attempt(lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))
    """,
    "writes settings of the kernel": """
        for path in ('kernel/core_pattern', 'vm/overcommit_memory', 'kernel/hostname'):
            attempt(lambda: os.close(os.open(f'/proc/sys/{path}', os.O_WRONLY)))
        for path in ('/proc/sysrq-trigger', '/proc/1/oom_score_adj', '/sys/kernel/mm/ksm/run'):
            attempt(lambda: os.close(os.open(path, os.O_WRONLY)))
    """,
    "sets clocks and names": """
        attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, 1))
        attempt(lambda: socket.sethostname('owned'))
        attempt(lambda: call('setdomainname', b'owned', 5) and None)
    """,
    "mounts over files": """
        attempt(lambda: call('mount', b'none', BAIT['folder'].encode(), b'tmpfs', 0, None) and None)
        attempt(lambda: call('mount', b'/etc', b'.', None, 4096, None) and None)
        attempt(lambda: call('umount2', b'/proc', 2) and None)
        attempt(lambda: os.chroot('.'))
        attempt(lambda: call('syscall', 428, -100, b'/', 1) and None)
    """,
    "raises its own limits": """
        import resource
        for kind in (resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
            attempt(lambda: resource.setrlimit(kind, (-1, -1)))
        attempt(lambda: open('/proc/self/oom_score_adj', 'w').write('-1000') and None)
        attempt(lambda: os.sched_setaffinity(0, range(os.cpu_count())))
        attempt(lambda: os.nice(-5) and None)
    """,
    "poisons what the next cell imports": """
        import evo, site, sysconfig
        for folder in (os.path.dirname(evo.__file__), sysconfig.get_path('purelib'),
                       sysconfig.get_path('stdlib')):
            attempt(lambda: open(folder + '/sitecustomize.py', 'w').write('x') and None)
        attempt(lambda: open(evo.__file__, 'a').write('x') and None)
        attempt(lambda: os.close(os.open(evo.__file__, os.O_RDONLY | os.O_TRUNC)))
        attempt(lambda: os.unlink(evo.__file__))
        attempt(lambda: open(sys.executable, 'ab').write(b'x') and None)
    """,
    "uses the corners of the kernel": """
        numbers = {'bpf': (321, 280), 'userfaultfd': (323, 282), 'perf_event_open': (298, 241),
                   'init_module': (175, 105), 'kexec_load': (246, 104), 'swapoff': (168, 225),
                   'quotactl': (179, 60), 'fanotify_init': (300, 262), 'setns': (308, 268),
                   'memfd_secret': (447, 447), 'personality': (135, 92), 'newest': (463, 463)}
        for name, both in numbers.items():
            number = both[os.uname().machine != 'x86_64']
            attempt(lambda: call('syscall', number, 0, 0, 0, 0, 0) and None)
    """,
    "calls the kernel as another architecture": """
        attempt(lambda: call('syscall', 0x40000000 + 41, 2, 1, 0) and None)
    """,
}


@pytest.mark.parametrize("attack", HARMLESS)
def test_nothing_outside_is_harmed(shared: World, tier: Tier, attack: str) -> None:
    code = {path: path.read_bytes() for path in harness.staged().rglob("*") if path.is_file()}
    hostname = os.uname().nodename
    outcome = shared.run(tier, HARMLESS[attack])
    assert BEGUN in outcome.output
    assert TRIED in outcome.output
    assert GOT not in outcome.output, outcome.output
    assert shared.harm() == []
    assert outcome.survivors == 0
    assert os.uname().nodename == hostname
    for path, text in code.items():
        assert path.read_bytes() == text


def test_no_device_is_dated(shared: World, tier: Tier) -> None:
    """A date of a node that all cells share would be word from one to the next."""
    nodes = [Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom")]
    before = [node.stat().st_mtime_ns for node in nodes]
    outcome = shared.run(tier, """
        for name in ('null', 'zero', 'full', 'random', 'urandom'):
            attempt(lambda: (os.utime(f'/dev/{name}'), 'said to be done')[1])
    """)  # fmt: skip
    assert TRIED in outcome.output
    assert [node.stat().st_mtime_ns for node in nodes] == before


def test_without_walls_the_same_does_harm(shared: World) -> None:
    """The assertions above can fail."""
    outcome = shared.run(Tier.OPEN, HARMLESS["overwrites files"])
    assert GOT in outcome.output
    assert any("archive" in line for line in shared.harm())
    (shared.folder / "archive").write_text(shared.secrets["archive"])
    (shared.folder / "deeper" / "file").write_text("again")
    shared.before = shared.look()


GREEDY = {
    "memory": """
        kept = []
        def grow():
            while True:
                kept.append(bytearray(b'x') * (16 << 20))
        attempt(grow)
    """,
    "memory, spread over children": """
        print('TRIED', flush=True)
        for _ in range(8):
            if os.fork() == 0:
                kept = bytearray(b'x') * (100 << 20)
                time.sleep(10)
                os._exit(0)
        time.sleep(10)
    """,
    "memory, in files without a name": """
        print('TRIED', flush=True)
        block = bytes(1 << 20)
        for _ in range(100):
            handle = os.memfd_create('hidden')
            for _ in range(12):
                os.write(handle, block)
        time.sleep(10)
    """,
    "memory, in pipes": """
        print('TRIED', flush=True)
        import fcntl
        kept = []
        def fill():
            while True:
                reader, writer = os.pipe()
                kept.append((reader, writer))
                os.set_blocking(writer, False)
                try:
                    fcntl.fcntl(writer, 1031, 1 << 20)
                except OSError:
                    pass
                try:
                    while os.write(writer, bytes(1 << 16)):
                        pass
                except BlockingIOError:
                    pass
        attempt(fill)
    """,
}


@pytest.mark.parametrize("what", GREEDY)
def test_memory_stays_within_its_bounds(shared: World, tier: Tier, what: str) -> None:
    """The greatest that was seen is what a cell may hold, and as much as fits in between looks."""
    outcome = shared.run(tier, GREEDY[what])
    assert BEGUN in outcome.output
    # Who is seen to hold too much may be ended for it before the attempt is over.
    assert TRIED in outcome.output or outcome.peak_memory_mb > LIMITS.memory_mb
    assert outcome.peak_memory_mb < 3 * LIMITS.memory_mb
    assert outcome.survivors == 0
    assert shared.harm() == []
    ended = "MemoryError" in outcome.output or "memory" in outcome.ended_because
    refused = "OSError" in outcome.output or outcome.status not in (0, None)
    assert ended or refused, outcome


BOMBS = {
    "processes": """
        print('TRIED', flush=True)
        count = 0
        try:
            while count < 4000:
                if os.fork() == 0:
                    time.sleep(30)
                    os._exit(0)
                count += 1
        except OSError as error:
            print('STOPPED', count, error, flush=True)
        time.sleep(2)
    """,
    "processes that breed": """
        print('TRIED', flush=True)
        while True:
            try:
                os.fork()
            except OSError:
                pass
    """,
    "threads": """
        import threading
        threading.stack_size(65536)
        count = 0
        try:
            while count < 4000:
                threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
                count += 1
        except RuntimeError as error:
            print('STOPPED', count, error, flush=True)
        print('TRIED', flush=True)
        os._exit(0)
    """,
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_kept_small(shared: World, tier: Tier, what: str) -> None:
    before = len(psutil.pids())
    outcome = shared.run(tier, BOMBS[what], wait_seconds=3.0)
    assert TRIED in outcome.output
    stopped = [line for line in outcome.output.splitlines() if line.startswith("STOPPED")]
    # An ordinary user's other processes count, too, and may have ended in the meantime.
    assert all(int(line.split()[1]) < 400 for line in stopped)
    assert outcome.most_processes < 400
    assert outcome.survivors == 0
    assert len(psutil.pids()) < before + 20
    assert shared.harm() == []


SURVIVORS = {
    "a daemon": """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                print('TRIED', flush=True)
                for stream in range(3):
                    os.close(stream)
                time.sleep(60)
            os._exit(0)
        os.wait()
        time.sleep(0.2)
    """,
    "a daemon without the cell's environment": """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                print('TRIED', flush=True)
                os.execve(sys.executable, ['daemon', '-S', '-c', 'import time; time.sleep(60)'], {})
            os._exit(0)
        os.wait()
        time.sleep(0.2)
    """,
    "comets, that fork and die faster than one looks": """
        print('TRIED', flush=True)
        for _ in range(5):
            if os.fork() == 0:
                break
        began = time.time()
        while time.time() - began < 30:
            try:
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(0.001)
                    continue
            except OSError:
                continue
            os._exit(0)
    """,
    "who ignores every signal": """
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        print('TRIED', flush=True)
        time.sleep(60)
    """,
    "who kills its parent and goes on": """
        if os.fork() == 0:
            os.setsid()
            print('TRIED', flush=True)
            for pid in (os.getppid(), 1):
                try:
                    os.kill(pid, 9)
                except OSError:
                    pass
            time.sleep(60)
        time.sleep(60)
    """,
    "who stops itself": """
        print('TRIED', flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    """,
}


@pytest.mark.parametrize("what", SURVIVORS)
def test_nobody_survives_the_end(shared: World, tier: Tier, what: str) -> None:
    outcome = shared.run(tier, SURVIVORS[what], wait_seconds=2.5)
    assert TRIED in outcome.output
    assert outcome.survivors == 0
    assert not outcome.left_on_disk
    assert shared.harm() == []


LITTER = {
    "one large file": """
        def fill():
            with open('large', 'wb') as file:
                while True:
                    file.write(bytes(1 << 20))
        attempt(fill)
    """,
    "many files": """
        def fill():
            for number in range(64):
                open(f'file{number}', 'wb').write(bytes(4 << 20))
                time.sleep(0.02)
            time.sleep(5)
            return 'STILL HERE'
        attempt(fill)
    """,
    "countless empty files": """
        def fill():
            for number in range(40_000):
                open(f'file{number}', 'wb').close()
            time.sleep(5)
            return 'STILL HERE'
        attempt(fill)
    """,
    "a folder in a folder, and so on": """
        def dig():
            for _ in range(3000):
                os.mkdir('d')
                os.chdir('d')
            return 'dug'
        attempt(dig)
    """,
    "folders that are closed": """
        def close():
            os.mkdir('closed')
            open('closed/file', 'w').write('x')
            os.mkdir('dark', 0)
            os.chmod('closed', 0)
            return 'closed'
        attempt(close)
    """,
    "a file that is larger than it is": """
        attempt(lambda: os.truncate(os.open('sparse', os.O_CREAT | os.O_RDWR), 1 << 40))
    """,
    "things that aren't files": """
        attempt(lambda: (os.mkfifo('pipe'), 'made')[1])
        attempt(lambda: os.mknod('device', 0o60666, os.makedev(254, 0)))
        attempt(lambda: (os.symlink('/etc/shadow', 'weights'), 'made')[1])
        def bind():
            socket.socket(socket.AF_UNIX).bind('ear')
            return 'bound'
        attempt(bind)
    """,
}


@pytest.mark.parametrize("what", LITTER)
def test_what_is_written_is_bounded_and_goes(shared: World, tier: Tier, what: str) -> None:
    free = psutil.disk_usage("/tmp").free
    outcome = shared.run(tier, LITTER[what])
    assert BEGUN in outcome.output
    assert TRIED in outcome.output or "scratch folder" in outcome.ended_because
    assert GOT not in outcome.output
    assert "No space left" in outcome.output or "STILL HERE" not in outcome.output
    assert not outcome.left_on_disk
    assert psutil.disk_usage("/tmp").free > free - (1 << 30)
    assert shared.harm() == []


HEADLESS = """
    import threading
    def work():
        time.sleep(0.5)
        {what}
        time.sleep(5)
        os._exit(0)
    threading.Thread(target=work).start()
    print('TRIED', flush=True)
    libc.syscall({exit}, 0)
"""
HIDDEN = {
    "memory": (
        "import mmap\n        kept = mmap.mmap(-1, 400 << 20)\n"
        "        for _ in range(400): kept.write(bytes(1 << 20))",
        "held",
    ),
    "files": ("[open(f'f{number}', 'wb').close() for number in range(30_000)]", "scratch folder"),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_who_goes_on_without_its_first_thread_is_seen(
    shared: World, tier: Tier, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no control group, whose limits nobody escapes."""
    monkeypatch.setattr(cgroups, "places", lambda: ())
    action, cause = HIDDEN[what]
    number = 60 if os.uname().machine == "x86_64" else 93
    outcome = shared.run(tier, HEADLESS.format(what=action, exit=number))
    assert TRIED in outcome.output
    assert cause in outcome.ended_because or "No space left" in outcome.output, outcome


def test_no_file_that_lends_rights_is_made(shared: World, tier: Tier) -> None:
    attack = """
        import shutil
        shutil.copy('/bin/cat', 'cat')
        attempt(lambda: (os.chmod('cat', 0o6755), 'said to be done')[1])
        attempt(lambda: os.execv('./cat', ['cat', '/proc/self/status']))
    """
    outcome = shared.run(tier, attack)
    assert TRIED in outcome.output
    users = [line.split()[1:] for line in outcome.output.splitlines() if line.startswith("Uid:")]
    assert all(len(set(numbers)) == 1 for numbers in users), users
    assert users or "PermissionError" in outcome.output
    assert not any(
        path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
        for path in Path("/tmp").glob("evo-cell-*/*")
    )


def test_a_flood_is_cut_and_nothing_of_it_drives_a_terminal(
    shared: World, tier: Tier, tmp_path: Path
) -> None:
    attack = """
        print('TRIED', flush=True)
        for _ in range(100):
            os.write(1, b'x' * (1 << 20))
        os.write(1, b'\\x1b[2J\\x1b]0;owned\\x07\\r\\x00\\xff\\xe2\\x80\\xaeval_bpb: 0.1\\n')
    """
    outcome = shared.run(tier, attack)
    assert TRIED in outcome.output
    assert len(outcome.output) <= LIMITS.log_bytes
    shown = clean_text(outcome.output)
    assert shown.isprintable() or all(one.isprintable() or one == "\n" for one in shown)


def test_a_log_that_is_kept_holds_no_control_codes(tier: Tier, tmp_path: Path) -> None:
    from evo.sandbox.sandbox import TierSandbox

    cell = TierSandbox(tier).start(
        ("python", "-c", "print('\\x1b[2J\\x1b]52;c;ZXZpbA==\\x07\\u202e\\r\\nplain')"),
        limits=LIMITS, threads=1, log=tmp_path / "log", merge_output=True,
    )  # fmt: skip
    cell.wait(20)
    cell.end()
    kept = (tmp_path / "log").read_text()
    assert "plain" in kept
    assert all(one.isprintable() or one == "\n" for one in kept), kept

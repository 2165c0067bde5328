"""A machine of one's own for what an administrator types: systemd as process 1, and folders that are thrown away.

It is made of namespaces: of processes, mounts, control groups and network (loopback alone). `/etc`, `/opt` and `/var` are
overlays in a folder of the test, so that whatever is installed there is gone afterwards; everything else is this machine's.
It needs root, systemd, overlays and a version-2 hierarchy of control groups; `refusal` says what is missing.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.qualification.processes import wait_until

Done = subprocess.CompletedProcess[str]

SYSTEMD = Path("/usr/lib/systemd/systemd")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
#: Units that the machine begins with: none but those that keep what the others say.
UNITS = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
TARGETS = ("multi-user", "network-online", "sysinit", "basic", "shutdown", "sockets")

BOOT = """\
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
for name in etc opt var; do
  mkdir -p "$1/$name.upper" "$1/$name.work"
  mount -t overlay overlay -o "lowerdir=/$name,upperdir=$1/$name.upper,workdir=$1/$name.work" "/$name"
done
mkdir -p "$1/own" && mount --bind "$1/own" /etc/systemd/system  # empty: none of this machine's services
mount --bind "$1/units" /usr/lib/systemd/system
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
export container=lxc SYSTEMD_GENERATOR_PATH=/var/empty  # which is empty: nothing of this machine's is started by itself
exec "$2" --system --unit=multi-user.target --show-status=no --log-target=console
"""


def cgroup_root() -> Path | None:
    """Return where the version-2 hierarchy of control groups is mounted."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines())
    return next((Path(words[1]) for words in mounts if words[2] == "cgroup2"), None)


def refusal() -> str:
    """Return why no machine can be made here, nothing if one can."""
    if os.geteuid() != 0:
        return "only root can make a machine of namespaces"
    missing = [name for name in ("unshare", "nsenter", "ip", "mount") if shutil.which(name) is None]
    if missing or not SYSTEMD.exists():
        return f"not installed: {', '.join(missing) or SYSTEMD}"
    root = cgroup_root()
    if root is None or not os.access(root, os.W_OK):
        return "expected a version-2 hierarchy of control groups that can be written to"
    return ""


class Machine:
    """One machine; use it as a context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        root = cgroup_root()
        assert root is not None
        self._cgroup = root / f"nftestbed-{os.getpid()}-{time.monotonic_ns()}"
        self._log = folder / "boot.log"
        self._popen: subprocess.Popen[bytes] | None = None
        self._init = 0

    def __enter__(self) -> "Machine":
        units = self._folder / "units"
        units.mkdir(parents=True)
        for name in UNITS:
            shutil.copy(SYSTEMD.parent / "system" / name, units)
        for name in TARGETS:
            (units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n", encoding="utf-8")
        (units / "multi-user.target").write_text(
            f"[Unit]\nDefaultDependencies=no\nWants={' '.join(UNITS)}\n", encoding="utf-8"
        )
        self._cgroup.mkdir()
        boot = self._folder / "boot.sh"
        boot.write_text(BOOT, encoding="utf-8")
        namespaces = "--mount --pid --fork --cgroup --uts --ipc --net --kill-child"
        script = f'echo $$ > "$1/cgroup.procs" && exec unshare {namespaces} bash "$2" "$3" {SYSTEMD}'
        words = ["bash", "-c", script, "-", str(self._cgroup), str(boot), str(self._folder)]
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(
                words, env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until(self._is_up, "a machine that is up")
        except BaseException as error:  # a test that is out of time included
            error.add_note(f"the machine said: {self._log.read_text()}")
            self.__exit__()
            raise
        return self

    def _is_up(self) -> bool:
        assert self._popen is not None
        assert self._popen.poll() is None, self._log.read_text()
        children = Path(f"/proc/{self._popen.pid}/task/{self._popen.pid}/children").read_text().split()
        if not children:
            return False
        self._init = int(children[0])
        state = self.run("systemctl is-system-running", Path("/"), check=False).stdout.strip()
        return state in {"running", "degraded"}

    def run(
        self, script: str, folder: Path, *, check: bool = True, network: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        """Run a script as root in a folder; `network` is this machine's own, for what has to fetch packages."""
        spaces = ["-m", "-p", "-C", "-u", "-i", *([] if network else ["-n"])]
        inner = f"cd {folder} && {{\n{script}\n}}"
        environment = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "LANG", "LC_", "SSL_"))
        }
        done = subprocess.run(
            ["nsenter", "-t", str(self._init), *spaces, "bash", "-euo", "pipefail", "-c", inner],
            env={**environment, "PATH": PATH, "HOME": "/var/empty"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"status {done.returncode} of:\n{script}\n{done.stdout}{done.stderr}"
        return done

    def __exit__(self, *_: object) -> None:
        assert self._popen is not None
        if self._init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)  # and with it every process of its namespace
        self._popen.kill()
        self._popen.wait(30)
        wait_until(self._cgroup_removed, "the end of all processes of the machine")

    def _cgroup_removed(self) -> bool:
        try:
            for folder in sorted(self._cgroup.rglob("*/"), key=lambda path: -len(path.parts)):
                folder.rmdir()
            self._cgroup.rmdir()
        except OSError:
            return False
        return True

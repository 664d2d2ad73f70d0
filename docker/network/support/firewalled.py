"""Hospitals behind firewalls on one machine: network namespaces, nftables, a proxy, real processes.

One bridge in the coordinator's namespace; each hospital hangs on a port of it that is isolated from
the others, and its firewall lets out one address and port. All traffic stays inside the namespaces.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CORDON = Path(sys.executable).with_name("cordon")
SITES = ("north", "east", "south")
SERVER, PORT, OPERATORS = "10.77.0.1", 8443, 8444
SUPERLINK = "127.0.0.1:18443"
FIREWALL = """
table inet fw {
  counter refused_in { }
  counter refused_out { }
  chain in { type filter hook input priority 0; policy drop; iif lo accept; ct state established,related accept; meta l4proto ipv6-icmp accept; counter name refused_in; }
  chain out { type filter hook output priority 0; policy drop; oif lo accept; ct state established,related accept; meta l4proto ipv6-icmp accept; ip daddr 10.77.0.1 tcp dport 8443 accept; counter name refused_out reject; }
}
"""


def sh(*command, check=True, **options):
    """Run a system command; its own words when it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


@dataclass
class Net:
    """The namespaces; `close` removes every one that was made."""

    prefix: str = field(
        default_factory=lambda: os.environ.get("NAMESPACES", f"cordon{os.getpid()}")
    )

    def name(self, member):
        return f"{self.prefix}-{member}"

    def open(self):
        for member in ("hub", *SITES):
            sh("ip", "netns", "add", self.name(member))
            self.ip(member, "link", "set", "lo", "up")
        self.ip("hub", "link", "add", "br0", "type", "bridge")
        self.ip("hub", "addr", "add", f"{SERVER}/24", "dev", "br0")
        self.ip("hub", "link", "set", "br0", "up")
        for number, site in enumerate(SITES):
            port, inside = f"port{number}", self.name(site)
            self.ip("hub", "link", "add", port, "type", "veth", "peer", "eth0", "netns", inside)
            self.ip("hub", "link", "set", port, "master", "br0", "up")
            sh(
                "ip",
                "netns",
                "exec",
                self.name("hub"),
                "bridge",
                "link",
                "set",
                "dev",
                port,
                "isolated",
                "on",
            )
            self.ip(site, "addr", "add", f"10.77.0.{11 + number}/24", "dev", "eth0")
            self.ip(site, "link", "set", "eth0", "up")
            self.nft(site, FIREWALL)

    def ip(self, member, *arguments):
        return sh("ip", "-n", self.name(member), *arguments)

    def nft(self, site, rules):
        return sh("ip", "netns", "exec", self.name(site), "nft", "-f", "-", input=rules)

    def inside(self, member, *command):
        """The command line that runs something in a namespace."""
        return ["ip", "netns", "exec", self.name(member), *map(str, command)]

    def refused(self, site):
        """Packets that a hospital's firewall refused so far: in, out."""
        told = sh(*self.inside(site, "nft", "-j", "list", "counters")).stdout
        counts = {
            c["counter"]["name"]: c["counter"]["packets"]
            for c in json.loads(told)["nftables"]
            if "counter" in c
        }
        return counts["refused_in"], counts["refused_out"]

    def cut(self, site):
        self.ip(site, "link", "set", "eth0", "down")

    def join(self, site):
        self.ip(site, "link", "set", "eth0", "up")

    def close(self):
        for member in ("hub", *SITES):
            sh("ip", "netns", "del", self.name(member), check=False)


@dataclass
class Consortium:
    """Coordinator, proxy and three hospitals, each process in its own namespace."""

    folder: Path
    net: Net
    running: dict = field(default_factory=dict)

    @property
    def coordinator(self):
        return self.folder / "coordinator"

    def site(self, name):
        return self.folder / name

    def start(self, name, *command, environment=None):
        log = (self.folder / f"{name}.log").open("ab")
        self.running[name] = subprocess.Popen(
            [*map(str, command)], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {}),
        )  # fmt: skip
        log.close()

    def stop(self, name, grace_s=15):
        process = self.running.pop(name)
        started = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return time.monotonic() - started

    def close(self):
        for name in list(self.running):
            self.stop(name)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def cordon(self, *arguments, at=None, check=True):
        """Type a command; `at` names the namespace whose network it uses."""
        command = [CORDON, *arguments]
        return sh(*(self.net.inside(at, *command) if at else command), check=check)

    def set_up(self):
        from cordon_server.demo.data import write_breast_cancer_cohorts

        data = write_breast_cancer_cohorts(self.folder / "data")
        policy = self.folder / "policy.yaml"
        text = (ROOT / "configs" / "policies" / "standard.yaml").read_text()
        policy.write_text(text.replace("  epsilon: 10.0", "  epsilon: 60.0"))
        address = ("--address", f"{SERVER}:{PORT}", "--listen", SUPERLINK)
        self.cordon("coordinator", "init", self.coordinator, "--name", "consortium", *address)
        self.cordon("coordinator", "edge", self.folder / "edge", "--home", self.coordinator)
        self.cordon("coordinator", "operator", "ops", "-o", self.folder, "--home", self.coordinator)
        self.start(
            "coordinator", *self.net.inside("hub", CORDON, "coordinator", "serve", self.coordinator)
        )
        self.start_proxy()
        for site in SITES:
            where = ("--name", site, "--data", data[site], "--policy", policy)
            self.cordon("site", "init", self.site(site), *where)
            kit = self.folder / f"{site}.kit.json"
            request = self.site(site) / "enrolment-request.json"
            enrol = ("coordinator", "enrol", request, "-o", kit, "--home", self.coordinator)
            self.cordon(*enrol, at="hub")
            self.cordon("site", "join", self.site(site), kit)
            self.start(
                f"{site}-vault", "unshare", "--net", CORDON, "site", "vault", self.site(site)
            )
            self.start_gateway(site)

    def start_proxy(self):
        run = self.folder / "nginx"
        run.mkdir(exist_ok=True)
        environment = {
            "SUPERLINK": SUPERLINK, "EDGE": str(self.folder / "edge"), "RUN": str(run),
            "LISTEN": f"{SERVER}:{PORT}", "OPERATORS": f"{SERVER}:{OPERATORS}",
        }  # fmt: skip
        script = ROOT / "docker" / "proxy" / "start.sh"
        self.start("proxy", *self.net.inside("hub", "sh", script, "proxy"), environment=environment)

    def start_gateway(self, site):
        self.start(
            f"{site}-gateway", *self.net.inside(site, CORDON, "site", "gateway", self.site(site))
        )

    def agree(self, name, rounds):
        """Sign a study of this name and approve it at every hospital."""
        text = (ROOT / "configs" / "studies" / "breast-cancer.yaml").read_text()
        text = text.replace("name: breast-cancer", f"name: {name}", 1)
        draft = self.folder / f"{name}.yaml"
        draft.write_text(text.replace("\n  rounds: 30", f"\n  rounds: {rounds}"))
        signed = self.folder / f"{name}.signed.json"
        self.cordon("study", "sign", draft, "-o", signed, "--home", self.coordinator)
        for site in SITES:
            self.cordon("site", "approve", self.site(site), signed, "--by", "ci", "--yes")
        return signed

    def launch(self, name):
        self.cordon("study", "launch", name, "--home", self.coordinator, at="hub")

    def study(self, name):
        told = self.cordon("coordinator", "status", self.coordinator, "--json").stdout
        return next(s for s in json.loads(told)["studies"] if s["study"] == name)

    def finish(self, name, timeout_s=240, meanwhile=lambda _state: None):
        """Wait until a study is finished; returns the seconds it took."""
        started = time.monotonic()
        while (now := self.study(name))["status"] != "finished":
            assert now["status"] in {"ready", "running"}, (now, self.log("coordinator")[-2000:])
            assert time.monotonic() - started < timeout_s, now
            meanwhile(now)
            time.sleep(0.5)
        return time.monotonic() - started

    def wait_online(self, count=3, timeout_s=120):
        from cordon_server.home import open_home  # noqa: F401 - named in the error below

        code = (
            "from pathlib import Path; import sys;"
            "from cordon_server.home import open_home; from cordon_server.runs import control\n"
            "with control(open_home(Path(sys.argv[1]))) as c: print(sum(n.online for n in c.nodes()))"
        )
        deadline = time.monotonic() + timeout_s
        command = self.net.inside("hub", sys.executable, "-c", code, self.coordinator)
        while True:
            told = sh(*command, check=False).stdout.strip()
            if told.isdigit() and int(told) >= count:
                return
            assert time.monotonic() < deadline, f"{told} of {count} hospitals are online"
            time.sleep(1)

    def verify(self, name):
        """Audit the study over everybody's bundles; returns the verdict."""
        out = self.folder / f"{name}.zip"
        self.cordon("study", "export", name, "-o", out, "--home", self.coordinator)
        bundles = [out]
        for site in SITES:
            bundles.append(self.folder / f"{name}-{site}.zip")
            self.cordon("site", "export", self.site(site), "-o", bundles[-1])
        told = self.cordon("audit", "verify", *bundles, "--json", check=False)
        return json.loads(told.stdout)["verdict"]

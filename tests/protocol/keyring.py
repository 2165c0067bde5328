"""A folder of keys for tests: made and enrolled by the product's own functions."""

from pathlib import Path

from protocol import enrolment
from protocol.curve import new_keypair, public_key
from protocol.keys import CONTROLLER, ENROLLED, RADIO, ClientKeys, Identity, read_public, read_secret
from protocol.messages import Role


class Keyring:
    """A key folder; controller and radio have keys from the beginning."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.make(CONTROLLER)
        self.enrolled(RADIO, Role.RADIO)

    def make(self, name: str) -> str:
        """Make a pair of keys and return the public one."""
        public, secret = new_keypair()
        enrolment.write_pair(self.folder, name, public, secret)
        return public

    def enrolled(self, name: str, role: Role = Role.UE) -> Identity:
        """Make a pair of keys and enrol it."""
        identity = Identity(name=name, role=role, key=self.make(name))
        enrolment.enrol(self.folder, identity)
        return identity

    def revoke(self, name: str) -> None:
        enrolment.revoke(self.folder, name)

    @property
    def list(self) -> Path:
        return self.folder / ENROLLED

    def public(self, name: str) -> str:
        return read_public(self.folder / f"{name}.public")

    def client(self, name: str, server: str = CONTROLLER) -> ClientKeys:
        """Return what an end needs that connects as `name`."""
        return self.client_in(self.folder, name, server)

    @staticmethod
    def client_in(folder: Path, name: str, server: str = CONTROLLER) -> ClientKeys:
        """Return the same of a folder that was made before."""
        public = read_public(folder / f"{server}.public")
        return ClientKeys(secret=read_secret(folder, name), server=public, server_name=server)


def stranger(server: str) -> ClientKeys:
    """Return keys that nobody has enrolled, for an end that knows the server's public key."""
    return ClientKeys(secret=new_keypair()[1], server=server, server_name=CONTROLLER)


def key_of(keys: ClientKeys) -> str:
    return public_key(keys.secret)

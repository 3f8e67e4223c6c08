"""The parts of one practice cluster, put together."""

from dataclasses import dataclass, field

from portal.embedded.cluster.access import Authorizer, Tokens
from portal.embedded.cluster.disk import Disk
from portal.embedded.cluster.faults import Faults
from portal.embedded.cluster.logs import Logs
from portal.embedded.cluster.objects import Objects
from portal.embedded.cluster.pages import Pages
from portal.embedded.cluster.reading import Reader
from portal.embedded.cluster.store import Store
from portal.embedded.cluster.watch import Watch


@dataclass
class Cluster:
    store: Store
    objects: Objects
    reader: Reader
    tokens: Tokens
    authorizer: Authorizer
    faults: Faults = field(default_factory=Faults)
    logs: Logs = field(default_factory=Logs)
    pages: Pages = field(default_factory=Pages)
    watches: set[Watch] = field(default_factory=set)

    @classmethod
    def on(cls, disk: Disk) -> "Cluster":
        """The cluster whose objects a disk holds."""
        store = Store(disk)
        return cls(store, Objects(store), Reader(store), Tokens.load(disk, store), Authorizer(store))

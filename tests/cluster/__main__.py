"""`python -m tests.cluster`: builds what a cluster needs, and keeps one up between runs of the tests."""

import argparse
import json
import os
import sys

from tests.cluster import images, lifecycle, volumes
from tests.cluster.binaries import Binaries, build, cache_folder, planned
from tests.cluster.cluster import Cluster, of_place
from tests.cluster.place import Place, places
from tests.cluster.programs import Failed
from tests.waiting import NotInTime


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--place", type=int, help="the number of a cluster beside the usual one, which is 0")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build programs and base images into the cache, where they are missing")
    commands.add_parser("up", help="bring it up, if it is not, and say how to reach it")
    commands.add_parser("down", help="end it and everything it made, also what a killed run left")
    commands.add_parser("status", help="say whether it is up and how to reach it")
    loading = commands.add_parser("load", help="copy images from its Docker into its node")
    loading.add_argument("image", nargs="+", help="a tag; - for those that `atoll build --json` says")
    arguments = parser.parse_args()
    place, binaries = Place(arguments.place or 0), planned(cache_folder(os.environ))
    try:
        match arguments.command:
            case "build":
                prepare(binaries)
            case "up":
                up(place, binaries)
            case "down":
                down([place] if arguments.place is not None else places())
            case "status":
                show(existing(place, binaries))
            case _:
                existing(place, binaries).load(*named(arguments.image))
    except (Failed, NotInTime, lifecycle.InUse) as error:
        sys.exit(str(error))


def prepare(binaries: Binaries) -> None:
    if lacking := lifecycle.lacking():
        raise Failed(f"this machine lacks {', '.join(lacking)}: .ci/run names Debian's packages")
    build(binaries.cache, say)
    for base in images.BASES.values():
        images.bootstrap(binaries.cache, base, say)


def up(place: Place, binaries: Binaries) -> None:
    cluster = of_place(place, binaries)
    if lifecycle.is_kept(place):
        volumes.stock(place, cluster.kubectl)
    else:
        prepare(binaries)
        with lifecycle.using(place):
            lifecycle.up(place, binaries, say)
            for name in images.BASES:
                cluster.docker.base(name)
            lifecycle.keep(place)
    show(cluster)


def down(where: list[Place]) -> None:
    for place in where:
        with lifecycle.using(place):
            if lifecycle.down(place):
                say(f"cluster {place.number} is down")


def named(arguments: list[str]) -> list[str]:
    return list(json.load(sys.stdin).values()) if arguments == ["-"] else arguments


def existing(place: Place, binaries: Binaries) -> Cluster:
    if not lifecycle.is_kept(place):
        raise Failed("no cluster is up: python -m tests.cluster up")
    return of_place(place, binaries)


def show(cluster: Cluster) -> None:
    say(cluster.kubectl.run("get", "nodes").rstrip())
    for name, value in {
        "KUBECONFIG": cluster.kubectl.kubeconfig,
        **cluster.docker.environment,
        "NODE_ADDRESS": cluster.node_address,
    }.items():
        print(f"export {name}={value}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

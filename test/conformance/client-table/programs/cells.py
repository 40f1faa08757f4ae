"""What the Python programs of the table have in common: they are told cells, and say of each whether it passed."""

import json
import sys

# HOST:PORT of each broker, with commas.
bootstrap_servers = sys.argv[1]
broker_count = len(bootstrap_servers.split(','))
# Of the topics that a cell creates: each of them is on every broker.
replication_factor = broker_count


def run(version, named):
    """Does the cells that the second argument lists, each with its function of `named`."""
    print(json.dumps({'version': version}), flush=True)
    for cell in sys.argv[2].split(','):
        try:
            named[cell]()
            print(json.dumps({'cell': cell}), flush=True)
        except BaseException as error:
            print(json.dumps({'cell': cell, 'failure': f'{type(error).__name__}: {error}'}), flush=True)

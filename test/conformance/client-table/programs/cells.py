"""What the Python programs of the table have in common: they are told cells, and say of each whether it passed."""

import json
import sys


def run(version, named):
    """Does the cells that the second argument lists, each with its function of `named`."""
    print(json.dumps({'version': version}), flush=True)
    for cell in sys.argv[2].split(','):
        try:
            named[cell]()
            print(json.dumps({'cell': cell}), flush=True)
        except BaseException as error:
            print(json.dumps({'cell': cell, 'failure': f'{type(error).__name__}: {error}'}), flush=True)

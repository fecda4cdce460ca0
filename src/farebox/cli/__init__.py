"""The command line: one file per noun, every one of them a client of the control API. Owns words on a terminal; no rules, no SQL.

Whether a gateway runs or not makes no difference to a command: `reach` hands it the same API, over HTTP or in this process.
"""


def main() -> int:
    """Runs one command and returns its exit code: 0 fine, 1 refused or failed (one line on standard error says why), 2 usage."""
    from farebox.cli.root import run

    return run()

"""`python -m farebox.sim`: the simulator from the command line, alone."""

import argparse
import sys

from farebox import __version__

from .options import described
from .server import LISTEN_DEFAULT, run


def main() -> int:
    """Read the arguments and serve. 2 when they make no sense, 1 when the address cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m farebox.sim", description="Simulated AI providers that bill what they generate.")
    parser.add_argument("--listen", default=LISTEN_DEFAULT, metavar="HOST:PORT", help="default: %(default)s")
    parser.add_argument("--tls-cert", metavar="FILE", help="serve TLS with this certificate chain")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key, if it is not in the same file")
    parser.add_argument(
        "--deployment", action="append", default=[], metavar="NAME=MODEL", help="an Azure deployment; can be given several times"
    )
    parser.add_argument(
        "--aws-key", action="append", default=[], metavar="ID:SECRET", help="an AWS key pair that signs for Bedrock; several times too"
    )
    parser.add_argument("--version", action="version", version=__version__)
    arguments = parser.parse_args()
    try:
        options = described(arguments.deployment, arguments.aws_key)
        run(arguments.listen, tls_cert=arguments.tls_cert, tls_key=arguments.tls_key, options=options)
    except ValueError as problem:
        parser.error(str(problem))
    except OSError as problem:
        sys.stderr.write(f"cannot serve on {arguments.listen}: {problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Who may connect to the private server: pg_hba.conf, pg_ident.conf, TLS."""

import ipaddress
import os
import pwd
import socket

from db.settings import ADMINISTRATOR


def host_based_authentication(listen: str | None) -> str:
    """Return pg_hba.conf: peer for the administrator, a password for everybody else, TLS outside.

    Parameters
    ----------
    listen : str or None
        Address on which the server listens; None is the Unix socket alone.
    """
    lines = [
        "# Made anew by every `hven up`.",
        f"local  all          {ADMINISTRATOR}       peer map=hven",
        f"local  replication  {ADMINISTRATOR}       peer map=hven",
        "local  all          all            scram-sha-256",
    ]
    if listen:
        lines += [
            f"host     all        {ADMINISTRATOR}  all  reject",
            "hostssl  all        all       all  scram-sha-256",
        ]
    return "\n".join(lines) + "\n"


def identity_map() -> str:
    """Return pg_ident.conf: the users of the operating system that are the administrator."""
    users = dict.fromkeys([pwd.getpwuid(os.geteuid()).pw_name, "root", ADMINISTRATOR])
    return "".join(f"hven  {user}  {ADMINISTRATOR}\n" for user in users)


def certificate_command(certificate: str, key: str, listen: str) -> list[str]:
    """Return the openssl command that makes a self-signed certificate for `listen` and this host's name."""
    try:
        own = f"IP:{ipaddress.ip_address(listen)}"
    except ValueError:  # a host's name, or `*`
        own = f"DNS:{listen}"
    names = dict.fromkeys([own, "DNS:localhost", "IP:127.0.0.1", f"DNS:{socket.gethostname()}"])
    return [
        *("openssl", "req", "-new", "-x509", "-nodes", "-days", "3650", "-newkey", "rsa:2048"),
        *("-subj", f"/CN={socket.gethostname()[:64]}", "-addext", f"subjectAltName={','.join(names)}"),
        *("-keyout", key, "-out", certificate),
    ]

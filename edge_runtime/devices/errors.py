"""Why a device cannot be used, from what `ssh`, `adb` and the programs there say, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.errors import InputError

NO_ROOM = ("No space left", "Disk quota exceeded", "File too large", "Wrote only")  # the last one is tar's


class LostError(InputError):
    """The device went away before it said how a command ended."""


def lost(shown: str, how: str) -> LostError:
    """Return the error for a device that went away while something ran on it."""
    return LostError(
        f"lost {shown} in the middle: {how}; nothing was written. Look at its cable, network and power, then run again"
    )


def explain(shown: str, words: Sequence[str], begun: bool, said: str) -> InputError:
    """Return the error that says why a command on the device has no end, and what to do.

    Parameters
    ----------
    shown, words
        As in `device_link.Link`.
    begun
        Whether the device began to run it.
    said
        What the client printed.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("@")]
    tail = "; ".join(lines[-3:]) or "no word from it"
    if begun:
        return lost(shown, repr(tail))
    if words[0] == "ssh":
        host = words[-1]
        port = words[words.index("-p") + 1] if "-p" in words else "22"
        where = host if port == "22" else f"[{host}]:{port}"
        scan = f"ssh-keyscan -p {port} {host}"
        if "IDENTIFICATION HAS CHANGED" in said:
            return InputError(
                f"got another host key from {shown} than the known one, expected the same; if the device was set up anew, "
                f"remove the old key (ssh-keygen -R '{where}') and add the new one; else somebody is in between"
            )
        if "Host key verification failed" in said:
            return InputError(
                f"got a host key from {shown} that is not known, expected a known one; compare what `{scan} | ssh-keygen -lf -` "
                f"prints with the device (there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), "
                f"then add it: {scan} >> ~/.ssh/known_hosts"
            )
        if "Permission denied" in said:
            return InputError(
                f"got {tail!r} from {shown}, expected a login by key without questions; run: ssh-copy-id -p {port} "
                f"{host}, or start ssh-agent where the key has a passphrase"
            )
    return InputError(f"cannot run commands on {shown}: {tail}; expected a device that is on and lets this user in")

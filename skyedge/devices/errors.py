"""Errors of devices: the cause, from the messages of `ssh`, `adb` and the programs there, and the next step."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.errors import InputError

NO_ROOM = ("No space left", "Disk quota exceeded", "File too large", "Wrote only")  # the last one is tar's


class LostError(InputError):
    """The device was lost before it reported how a command ended."""


def lost(shown: str, how: str) -> LostError:
    """Return the error for a device that was lost during a command."""
    return LostError(
        f"lost {shown} in the middle: {how}; nothing was written. Check its cable, network and power, then run again"
    )


def explain(shown: str, words: Sequence[str], begun: bool, said: str) -> InputError:
    """Return the error for a command that did not report its end.

    Parameters
    ----------
    shown, words
        As in `Link`.
    begun
        Whether the device began to run the command.
    said
        Output of the client.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("@")]
    tail = "; ".join(lines[-3:]) or "no output"
    if begun:
        return lost(shown, repr(tail))
    if words[0] == "ssh":
        host = words[-1]
        port = words[words.index("-p") + 1] if "-p" in words else "22"
        where = host if port == "22" else f"[{host}]:{port}"
        scan = f"ssh-keyscan -p {port} {host}"
        if "IDENTIFICATION HAS CHANGED" in said:
            return InputError(
                f"got a changed host key from {shown}, expected the known one; if the device was set up anew, remove the old key "
                f"(ssh-keygen -R '{where}') and add the new one; if not, another machine may pose as the device"
            )
        if "Host key verification failed" in said:
            return InputError(
                f"got an unknown host key from {shown}, expected a known one; compare what `{scan} | ssh-keygen -lf -` "
                f"prints with the device (there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), "
                f"then add it: {scan} >> ~/.ssh/known_hosts"
            )
        if "Permission denied" in said:
            return InputError(
                f"got {tail!r} from {shown}, expected a login by key without questions; run: ssh-copy-id -p {port} "
                f"{host}, or start ssh-agent where the key has a passphrase"
            )
    return InputError(f"cannot run commands on {shown}: {tail}; expected a device that is on and accepts this user")

# SPDX-License-Identifier: GPL-3.0-or-later
# Holds write leases on files, so that whoever opens one waits: lease.py --ready NAME [--asked NAME] [--until NAME] [--seconds N] FILE...
# It makes the file --ready when it has them all. With --asked or --seconds it waits until the first is asked for, makes --asked,
# and sleeps for --seconds. Then it keeps them until --until is there, or ends. The kernel takes a lease away after 45 seconds.
import argparse, fcntl, os, signal, time

parser = argparse.ArgumentParser()
for name in ("ready", "asked", "until"):
    parser.add_argument("--" + name)
parser.add_argument("--seconds", type=float, default=0)
parser.add_argument("files", nargs="+")
args = parser.parse_args()

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
held = [os.open(name, os.O_RDONLY) for name in args.files]
for fd in held:
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
open(args.ready, "w").close()
if args.asked or args.seconds:
    signal.sigwait([signal.SIGIO])
if args.asked:
    open(args.asked, "w").close()
time.sleep(args.seconds)
while args.until and not os.path.exists(args.until):
    time.sleep(0.05)

"""Works on something every few seconds, and says when it is told to stop."""
import signal
import sys
import time

signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
for job in range(1_000_000):
    print("job", job, flush=True)
    time.sleep(3)

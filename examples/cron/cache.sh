#!/bin/sh
# A service that would fill up if it were never restarted.
echo "cache begins empty at $(date)"
exec sleep 1000000

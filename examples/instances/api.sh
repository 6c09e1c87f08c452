#!/bin/sh
# Stands for a server: says which copy it is.
echo "slot $PM_INSTANCE would listen on $PORT, called with: $*"
exec sleep 1000

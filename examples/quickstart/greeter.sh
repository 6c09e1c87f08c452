#!/bin/sh
# Greets once in a while, and ends politely when asked to.
trap 'echo "goodbye"; exit 0' TERM
while :; do
    echo "$GREETING from $PM_APP, process $$"
    sleep 5 &
    wait $!
done

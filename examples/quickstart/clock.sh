#!/bin/sh
# Prints the time every $1 seconds.
while :; do
    date
    sleep "$1"
done

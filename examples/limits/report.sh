#!/bin/sh
# Works in children of its own, which are limited, counted and stopped together with it.
trap 'kill $!; exit 0' TERM
while true; do
    echo "one more report"
    sleep 2 &
    wait $!
done

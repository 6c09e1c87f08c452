#!/bin/sh
# Does a handful of jobs, then ends; the next run goes on.
for job in 1 2 3; do
    echo "job $job"
    sleep 1
done
